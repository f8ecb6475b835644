//! Hutchinson's estimate of Tr ∇²L, from products with the Hessian along random directions.

use tch::{Kind, Tensor};

use super::super::{Components, DIRECTIONS_AT_ONCE, direction};
use super::{Estimate, Objective, Watch};
use crate::LearnError;
use base::work::Stop;

/// Number of draws between checks of the stopping rule.
const BLOCK: u32 = 8;

/// Computes vᵀHv, whose mean is Tr ∇²L, along at most `draws` Rademacher directions, or fewer if `stop` is satisfied earlier.
///
/// Memory: one chunk's graph, and 64 bytes for every parameter.
///
/// # Errors
/// If there are no draws, `watch` returns false, or libtorch fails.
pub(super) fn forms(
    objective: &Objective<'_>,
    draws: u32,
    stop: Option<Stop>,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Vec<f64>, LearnError> {
    if draws == 0 {
        return Err(LearnError::Data("estimating the trace needs at least one draw".to_owned()));
    }
    let block = if stop.is_some() { BLOCK } else { DIRECTIONS_AT_ONCE };
    let mut forms = Vec::new();
    while forms.len() < draws as usize {
        let first = forms.len() as u32;
        let numbers = first..draws.min(first.saturating_add(block));
        let share = numbers.len();
        let directions =
            numbers.map(|draw| direction(objective.network, Components::Signs, (seed, "hessian-trace", draw)));
        let directions = directions.collect::<Result<Vec<_>, _>>()?;
        let mut within = |done: usize, all: usize| {
            // The unit is one chunk of one direction; the total is that of the largest number of draws.
            let a_draw = all / share;
            watch(first as usize * a_draw + done, draws as usize * a_draw)
        };
        forms.extend(quadratic_forms(objective, &directions, &mut within)?);
        if let Some(enough) = stop.and_then(|stop| enough(&forms, stop)) {
            forms.truncate(enough);
            break;
        }
    }
    Ok(forms)
}

/// Returns how many of the first draws satisfy the stopping rule, if any do.
fn enough(forms: &[f64], stop: Stop) -> Option<usize> {
    match stop {
        Stop::StandardError(share) => {
            let Estimate { value, error } = Estimate::mean(forms);
            (error <= share * value.abs()).then_some(forms.len())
        }
        // PyHessian 0.1, `trace`.
        Stop::Settled(share) => {
            let mean = |n: usize| if n == 0 { 0.0 } else { forms[..n].iter().sum::<f64>() / n as f64 };
            (1..=forms.len()).find(|&n| (mean(n) - mean(n - 1)).abs() / (mean(n - 1).abs() + 1e-6) < share)
        }
    }
}

/// Computes vᵀHv for every direction, each packed like the network's parameters (of any element type). The graph of a
/// chunk's gradient is built once and used for all directions.
pub(crate) fn quadratic_forms(
    objective: &Objective<'_>,
    directions: &[Tensor],
    watch: &mut Watch<'_>,
) -> Result<Vec<f64>, LearnError> {
    let arithmetic = objective.network.arithmetic();
    let sums = Tensor::f_zeros([directions.len() as i64], (Kind::Double, arithmetic.device))?;
    let mut done = 0;
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let weight = chunk.count / objective.images.count() as f64;
        let slope = chunk.slope()?;
        for (draw, direction) in directions.iter().enumerate() {
            let v = direction.f_to_kind(arithmetic.kind)?;
            let hv = slope.derivative(&v, draw + 1 < directions.len())?;
            let form = hv.f_mul(&v)?.f_sum(Kind::Double)?.f_mul_scalar(weight)?;
            let _ = sums.f_narrow(0, draw as i64, 1)?.f_add_(&form)?;
            done += 1;
            if !watch(done, objective.chunk_count() * directions.len()) {
                return Err(LearnError::Cancelled);
            }
        }
    }
    let mut forms = vec![0.0; directions.len()];
    sums.f_copy_data(&mut forms, directions.len())?;
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::setting;
    use super::*;

    #[test]
    fn draws_do_not_depend_on_the_chunk_and_can_be_stopped() {
        let setting = setting(3, false);
        let of = |batch| forms(&setting.objective(batch), 2, None, 3, &mut |_, _| true).unwrap();
        for (a, b) in of(1).into_iter().zip(of(3)) {
            assert!((a - b).abs() <= 1e-11 * a.abs(), "{a} {b}");
        }
        let mut calls = Vec::new();
        let stopped = forms(&setting.objective(2), 2, None, 3, &mut |done, all| {
            calls.push((done, all));
            done < 3
        });
        assert!(matches!(stopped, Err(LearnError::Cancelled)));
        assert_eq!(calls, [(1, 4), (2, 4), (3, 4)]);
    }

    #[test]
    fn fewer_draws_are_the_first_of_many() {
        let setting = setting(2, false);
        let all = forms(&setting.objective(2), 24, None, 3, &mut |_, _| true).unwrap();
        let mut last = (0, 0);
        let some = forms(&setting.objective(2), 24, Some(Stop::StandardError(1e3)), 3, &mut |done, all| {
            last = (done, all);
            true
        });
        assert_eq!(some.unwrap(), all[..BLOCK as usize]);
        assert_eq!(last, (8, 24));
        let never = forms(&setting.objective(2), 24, Some(Stop::StandardError(0.0)), 3, &mut |_, _| true);
        assert_eq!(never.unwrap(), all);
    }

    #[test]
    fn the_rules_to_stop_are_what_they_say() {
        // Means 10, 11, 11.0, 11.25: the third draw does not change the mean.
        let forms = [10.0, 12.0, 11.0, 12.0];
        assert_eq!(enough(&forms, Stop::Settled(1e-3)), Some(3));
        assert_eq!(enough(&forms, Stop::Settled(0.0)), None);
        assert_eq!(enough(&[1.0, 1e9], Stop::Settled(1e-3)), None);
        // Mean 11.25, standard error 0.4787.
        assert_eq!(enough(&forms, Stop::StandardError(0.043)), Some(4));
        assert_eq!(enough(&forms, Stop::StandardError(0.042)), None);
    }
}
