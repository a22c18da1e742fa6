"""Operators that a model may use, by name; what is not here is refused.

A list of what is allowed, since of what is dangerous nobody knows all: beside files (``from_file``, ``save``)
and other processes (``rpc_sync``) there are views of memory without a check (``set_``, ``_unsafe_index``).
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAYERS = _words(
    """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d affine_grid_generator alpha_dropout
    avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear celu channel_shuffle constant_pad_nd conv1d
    conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution
    cosine_similarity dropout dropout_ elu elu_ embedding feature_dropout fold im2col col2im gelu glu
    grid_sampler grid_sampler_2d group_norm gru gru_cell hardshrink hardsigmoid hardsigmoid_ hardswish
    hardswish_ hardtanh hardtanh_ instance_norm layer_norm leaky_relu leaky_relu_ linear log_sigmoid
    log_softmax lstm lstm_cell max_pool1d max_pool2d max_pool2d_with_indices max_pool3d max_unpool2d mish
    mish_ native_batch_norm _native_batch_norm_legit_no_training native_group_norm native_layer_norm
    normalize pad pixel_shuffle pixel_unshuffle prelu reflection_pad1d reflection_pad2d relu relu6 relu6_
    relu_ replication_pad1d replication_pad2d rms_norm rrelu scaled_dot_product_attention selu selu_
    sigmoid sigmoid_ silu silu_ softmax alpha_dropout_ feature_dropout_ feature_alpha_dropout
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool3d upsample_nearest3d upsample_trilinear3d
    replication_pad3d reflection_pad3d grid_sampler_3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d _adaptive_avg_pool2d _adaptive_avg_pool3d _upsample_lanczos2d_aa
    feature_alpha_dropout_ max_pool1d_with_indices max_pool3d_with_indices softmin softplus softshrink
    softsign tanh tanh_ tanhshrink threshold threshold_ unfold _native_multi_head_attention
    _transformer_encoder_layer_fwd upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa __interpolate
    __upsample __upsample_bilinear __upsample_nearest
    """
)
_MATHS = _words(
    """
    abs acos acosh add addcdiv addcmul addmm all amax amin aminmax angle any argmax argmin argsort asin
    asinh atan atan2 atanh baddbmm bitwise_and bitwise_not bitwise_or bitwise_xor bmm bucketize ceil clamp
    clamp_max clamp_min clip complex conj copysign cos cosh cross cummax cummin cumprod cumsum deg2rad
    diff digamma dist div divide dot einsum eq erf erfc erfinv exp exp2 expm1 fft_fft fft_fft2 fft_fftfreq
    fft_fftn fft_fftshift fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_irfft fft_irfft2 fft_rfft
    fft_rfft2 fft_rfftfreq floor floor_divide floordiv fmod frac frobenius_norm gather ge greater
    greater_equal gt histc hypot imag index_add isclose isfinite isinf isnan kthvalue le lerp less
    less_equal lgamma linalg_inv linalg_matrix_norm linalg_norm linalg_solve linalg_vector_norm log log10
    log1p log2 logaddexp logical_and logical_not logical_or logical_xor logit logsumexp lt matmul max
    maximum mean median min minimum mm mode mul multiply nan_to_num nanmean nanmedian nansum ne neg
    negative neg_ norm not_equal nonzero outer polar pow prod quantile rad2deg real reciprocal remainder
    round rsqrt rsub searchsorted sign sin sinc sinh sort sqrt square std std_mean sub subtract sum tan
    topk tril triu true_divide trunc unique var var_mean view_as_complex view_as_real where xlogy add_
    sub_ mul_ div_ pow_ clamp_ clamp_min_ clamp_max_ exp_ sqrt_ abs_ zero_ fill_ floor_ round_ log_
    square_ copy_ masked_fill masked_fill_ masked_select
    """
)
_SHAPES = _words(
    """
    alias arange broadcast_tensors broadcast_to cartesian_prod cat chunk clone concat concatenate
    contiguous detach diag diagonal dim empty empty_like expand expand_as eye flatten flip full full_like
    hstack index index_select is_floating_point lift_fresh_copy linspace meshgrid movedim moveaxis narrow
    new_empty new_full new_ones new_zeros numel one_hot ones ones_like permute repeat repeat_interleave
    reshape roll rot90 scalar_tensor scatter scatter_add select size slice split split_with_sizes squeeze
    stack stride t take_along_dim tensor tensor_split tile to transpose type_as unbind unflatten unsqueeze
    view view_as vstack zeros zeros_like _shape_as_tensor _to_copy rand_like randn_like bernoulli sym_size
    """
)
_LANGUAGE = _words(
    """
    append Bool Complex Float FloatImplicit Int IntImplicit ScalarImplicit cpu device dtype __and__
    __contains__ __derive_index __getitem__ __is__ __isnot__ __not__ __or__ __range_length __xor__ extend
    format get insert is_autocast_enabled is_grad_enabled item items keys layout len list percentFormat
    pop range reverse str startswith sorted values warn _set_item
    """
)
"""Lists, numbers, texts and questions about tensors. ``warn`` writes a line to the process's own stderr."""
ATEN = _LAYERS | _MATHS | _SHAPES | _LANGUAGE
"""Allowed as ``torch.NAME`` and ``ops.aten.NAME``."""
PRIM = _words(
    """
    data device dtype is_cuda is_cpu is_mkldnn is_nested is_quantized is_sparse layout max min abs
    NumToTensor RaiseException rangelist requires_grad tolist type unchecked_cast
    unchecked_unwrap_optional
    """
)
"""Allowed as ``ops.prim.NAME``."""
_STRUCTURE = _words(
    """
    Constant ConstantChunk DictConstruct GetAttr If ListConstruct ListUnpack Loop SetAttr TupleConstruct
    TupleIndex TupleUnpack Uninitialized isinstance CreateObject
    """
)
NODE_KINDS = (
    {f"aten::{name}" for name in ATEN} | {f"prim::{name}" for name in PRIM | _STRUCTURE} | {"prim::Return"}
)
"""Allowed kinds of a graph's nodes, once its calls are in line."""
ONNX = _words(
    """
    Attention AveragePool BatchNormalization Conv ConvTranspose DepthToSpace Dropout Flatten Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample AffineGrid GroupNormalization GRU
    InstanceNormalization LayerNormalization LpNormalization LpPool LRN LSTM MatMul MaxPool MaxUnpool
    MeanVarianceNormalization Pad Resize RMSNormalization RNN RotaryEmbedding SpaceToDepth Upsample
    CenterCropPad Col2Im
    Celu Clip Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid
    Softmax Softplus Softsign Swish Tanh ThresholdedRelu
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Ceil Cos Cosh CumSum DFT Det Div Einsum Equal Erf Exp Floor Greater GreaterOrEqual Inverse
    IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Round
    Sign Sin Sinh Sqrt STFT Sub Sum Tan TopK Trilu Unique Where Xor
    BlackmanWindow HammingWindow HannWindow MelWeightMatrix
    Cast CastLike Compress Concat Constant ConstantOfShape Expand EyeLike Gather GatherElements GatherND
    Identity NonMaxSuppression NonZero OneHot Range Reshape ReverseSequence ScatterElements ScatterND Shape
    Size Slice Split Squeeze Tile Transpose Unsqueeze
    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear
    If Loop Scan
    """
)
"""Allowed in an ONNX graph, all of the domain of ONNX itself: no texts, no files, nothing drawn at random."""
REFUSED_WORDS = _words(
    """
    from_file save load rpc_sync rpc_async rpc_remote fork wait awaitable set_ set_data data_ptr
    as_strided as_strided_ resize_ resize_as_ _print print Print open exec eval import_module PythonOp
    IgnoredPythonOp
    """
)
"""What no model may even call one of its own attributes: a value of that name could be the operator."""
REFUSED_CALL = re.compile(r"\.\s*(from_file|save|load|rpc_\w+|__(?:set|get|reduce)\w*__)\s*\(")
"""Found in the text, however it is read."""
