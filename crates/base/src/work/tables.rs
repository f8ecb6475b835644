//! Columns of the tables that stages record.

/// Columns of the `metrics` of training and probes, with a row for every epoch after which the network was evaluated
/// (see [`Train::evaluates`](super::Train::evaluates); for a probe only one, at its end): index of the epoch from 0
/// (the row is measured after `epoch + 1` epochs of training), learning rate, mean cross-entropy in nats and error in
/// percent over the training set (all of it, or `eval_images`) and the whole test set in eval mode, and ‖w‖₂ over all
/// trained parameters.
pub const METRICS: [&str; 7] = ["epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Columns of the `metrics` of averaged weights; see [`METRICS`].
pub const EMA_METRICS: [&str; 6] = ["epoch", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Columns of `predictions`, with a row for every test image: its index, its label, the class with the largest logit,
/// and the cross-entropy in nats.
pub const PREDICTIONS: [&str; 4] = ["image", "label", "answer", "loss"];

/// Columns of `diverged`, with one row: epoch (counted from the initial weights, or from the start of a probe) and
/// step at which a loss, or the weights or running statistics after the last step, were not finite, the learning
/// rate, and the last finite loss before (NaN if there was none).
pub const DIVERGED: [&str; 4] = ["epoch", "step", "lr", "last_finite_loss"];

/// Columns of a `trace`, with one row: index of the epoch (see [`METRICS`]), Tr ∇²L and its standard error (0 if it
/// is exact); the standard deviation of the traces of single images over √n, NaN where they are unknown; number of
/// draws, the loss L, ‖w‖₂ over all trained parameters.
pub const TRACE: [&str; 7] = ["epoch", "trace", "stderr", "spread", "draws", "loss", "norm"];

/// Columns of `eigenvalues`, with one row: index of the epoch, largest and smallest eigenvalue of ∇²L, each with a
/// bound of its distance from a true one, number of products with ∇²L, the loss, ‖w‖₂.
pub const EIGENVALUES: [&str; 8] =
    ["epoch", "largest", "largest_error", "smallest", "smallest_error", "iterations", "loss", "norm"];

/// Columns of `cosines`, with one row: index of the epoch; the mean over the draws v of cos(Xv, Σv) for X = H, G, E
/// with its standard error; the matrices' own cosine ⟨X, Σ⟩/(‖X‖‖Σ‖) in the Frobenius product (a ratio of means, with
/// the jackknife's standard error); the traces of H, G, E, Σ with their standard errors; the mean over the images of
/// ‖J‖² in the Frobenius norm with its standard error, where J is the Jacobian of the logits; number of draws, the
/// loss, ‖w‖₂.
pub const COSINES: [&str; 26] = [
    "epoch",
    "cos_h",
    "cos_h_stderr",
    "cos_g",
    "cos_g_stderr",
    "cos_e",
    "cos_e_stderr",
    "matrix_cos_h",
    "matrix_cos_h_stderr",
    "matrix_cos_g",
    "matrix_cos_g_stderr",
    "matrix_cos_e",
    "matrix_cos_e_stderr",
    "trace_h",
    "trace_h_stderr",
    "trace_g",
    "trace_g_stderr",
    "trace_e",
    "trace_e_stderr",
    "trace_s",
    "trace_s_stderr",
    "jacobian",
    "jacobian_stderr",
    "draws",
    "loss",
    "norm",
];

/// Columns of `products`, with a row for every draw v: v·Xv and ‖Xv‖² for X = H, G, E, Σ; ⟨Xv, Σv⟩ for X = H, G, E;
/// the mean over the images of ‖Jv‖².
pub const PRODUCTS: [&str; 13] = ["draw", "v_h", "v_g", "v_e", "v_s", "hh", "gg", "ee", "ss", "hs", "gs", "es", "jv"];

/// Columns of `scale`, with one row: index of the epoch; the loss L; S₁ = mean ‖g_i‖² over the images' gradients with
/// its standard error; ‖ḡ‖² of their mean; Tr Σ = S₁ − ‖ḡ‖² with its standard error; Tr Σ/L; ‖w‖₂; minimum, median
/// and maximum of the images' ‖J_i‖ in the Frobenius norm; minimum of ‖r_i‖²/ℓ_i over the images, where r_i = p_i −
/// e_y is the residual and ℓ_i the loss of image i; number of draws used to estimate ‖J_i‖, 0 if it is exact. S₁
/// and Tr Σ are exact in either case, so their errors are 0. With batch statistics, the gradients are those of the K
/// batches of B images each, Tr Σ = B·K/(K − 1)·(S₁ − ‖ḡ‖²) corresponds to a single image, errors are those of a mean over
/// batches, and there is no ‖J_i‖.
pub const SCALE: [&str; 14] = [
    "epoch",
    "loss",
    "second_moment",
    "second_moment_stderr",
    "mean_gradient",
    "noise",
    "noise_stderr",
    "ratio",
    "norm",
    "jacobian_min",
    "jacobian_median",
    "jacobian_max",
    "residual_ratio_min",
    "draws",
];

/// Columns of the `path` of a `valley`, with a row for the start and every step: number of steps, the iterate w_t,
/// L(w_t).
pub const PATH: [&str; 4] = ["step", "x", "y", "loss"];

/// Columns of `tuned`, with a row for every fine-tuned iterate: number of steps of SGD before it, the iterate w_t,
/// the end w̃_t of the gradient flow from there, Tr ∇²L(w̃_t), and L(w_t) (L(w̃_t) is 0 up to the remaining error of
/// the flow).
pub const TUNED: [&str; 7] = ["step", "x", "y", "tuned_x", "tuned_y", "trace", "loss"];

/// Columns of `optimum`, with one row: the minimum w*_η of L + ησ²·Tr ∇²L, and Tr ∇²L(w*_η).
pub const OPTIMUM: [&str; 3] = ["x", "y", "trace"];

/// Columns of `landscape`, with a row for every x from −0.5 to 2.6 in steps of 0.02: x; the valley's y; the two y
/// with a loss of 0.05 (`up1`, `down1`), 0.2, 0.5 and 1; Tr ∇²L on the valley.
pub const LANDSCAPE: [&str; 11] =
    ["x", "valley", "up1", "down1", "up2", "down2", "up3", "down3", "up4", "down4", "trace"];
