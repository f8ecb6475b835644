//! Phases: which epoch of one run is the counterpart of an epoch of another run that is longer or shorter.
//!
//! A run is a sequence of phases, each with one learning rate. Counterparts are epochs of the same phase (the first, the
//! second) at the same share of it. For example, a published value at epoch 110 of 200 with the decay after 100 is at one
//! tenth of the second phase. In a run of 30 + 15 epochs, its counterpart is one and a half epochs after the decay of that
//! run, not epoch 25 before the decay. Where phases are equally long, counterparts are the same number of epochs after the
//! decay.
//!
//! An epoch is not compared with a distant one: the nearest measured epoch has to be within 5 % of the phase, and the shares
//! within a factor of 1.5. The factor matters early in a phase, where values after one tenth of the phase differ much from
//! those after a thirtieth.

/// Epochs at one learning rate, counted as epochs done since the initial weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// Number of epochs done when the phase begins.
    pub from: f64,
    /// Number of epochs done when the phase ends.
    pub to: f64,
}

/// Largest distance of counterparts, as a share of the phase.
const APART: f64 = 0.05;
/// Largest ratio of the shares of counterparts.
const RATIO: f64 = 1.5;
/// Largest effect of rounding on a share.
const ROUNDING: f64 = 1e-9;

/// Returns the phases of a run of `epochs` epochs whose learning rate is lowered after `decay` epochs, or never.
pub fn phases(epochs: f64, decay: Option<f64>) -> Vec<Phase> {
    match decay {
        Some(decay) => vec![Phase { from: 0.0, to: decay }, Phase { from: decay, to: epochs }],
        None => vec![Phase { from: 0.0, to: epochs }],
    }
}

/// Returns the phase of an epoch, and the share of the phase that is done at the end of the epoch. The epoch with index x is
/// measured when x + 1 epochs are done. Returns `None` if the epoch is in no phase.
pub fn place(phases: &[Phase], x: f64) -> Option<(usize, f64)> {
    let done = x + 1.0;
    let at = phases.iter().position(|phase| phase.from < done && done <= phase.to)?;
    Some((at, (done - phases[at].from) / (phases[at].to - phases[at].from)))
}

/// Returns our epochs, first and last, that are the counterpart of one of their epochs (given as the same epoch twice) or of
/// a stretch of epochs. For a single epoch, the counterpart is the nearest measured epoch; for a stretch, it is the measured
/// epochs inside. Returns `None` if no epoch is near enough, or if the stretch spans two phases.
pub fn counterpart(theirs: &[Phase], x: [f64; 2], ours: &[Phase], measured: &[f64]) -> Option<[f64; 2]> {
    let [(phase, from), (end, to)] = [place(theirs, x[0])?, place(theirs, x[1])?];
    let shares =
        measured.iter().filter_map(|x| place(ours, *x).filter(|place| place.0 == phase).map(|place| (*x, place.1)));
    if end != phase {
        return None;
    }
    if x[0] != x[1] {
        let inside = shares.filter(|(_, share)| (from - ROUNDING..=to + ROUNDING).contains(share)).map(|(x, _)| x);
        let ends = inside.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
        return (ends[0] <= ends[1]).then_some(ends);
    }
    let nearest = shares.min_by(|a, b| (a.1 - from).abs().total_cmp(&(b.1 - from).abs()))?;
    let ratio = nearest.1.max(from) / nearest.1.min(from);
    ((nearest.1 - from).abs() <= APART + ROUNDING && ratio <= RATIO + ROUNDING).then_some([nearest.0; 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(epochs: u32) -> Vec<f64> {
        (0..epochs).map(f64::from).collect()
    }

    #[test]
    fn the_same_run_is_its_own_counterpart() {
        let run = phases(200.0, Some(100.0));
        for x in 0..200 {
            let x = f64::from(x);
            assert_eq!(counterpart(&run, [x; 2], &run, &every(200)), Some([x; 2]));
        }
        assert_eq!(counterpart(&run, [40.0, 96.0], &run, &every(200)), Some([40.0, 96.0]));
    }

    #[test]
    fn counterparts_are_in_the_same_phase_at_the_same_share_of_it() {
        let (paper, ours) = (phases(200.0, Some(100.0)), phases(45.0, Some(30.0)));
        let at = |x: f64| counterpart(&paper, [x; 2], &ours, &every(45)).map(|x| x[0]);
        // The last epoch of each phase.
        assert_eq!((at(99.0), at(199.0)), (Some(29.0), Some(44.0)));
        // 11 % of the decay phase are 1.65 of 15 epochs: after two, the 32nd, which has index 31.
        assert_eq!(at(110.0), Some(31.0));
        assert_eq!((at(120.0), at(160.0)), (Some(32.0), Some(38.0)));
        // The first epoch is 1 % of the paper's phase and 3 % of ours; the third is near.
        assert_eq!((at(0.0), at(2.0), at(100.0)), (None, Some(0.0), None));
        assert_eq!(counterpart(&paper, [10.0, 95.0], &ours, &every(45)), Some([3.0, 27.0]));
        // A counterpart is never across the decay, however near in epochs.
        for x in 0..200 {
            let (x, decayed) = (f64::from(x), x >= 100);
            assert!(at(x).is_none_or(|ours| (ours >= 30.0) == decayed), "{x}: {:?}", at(x));
        }
    }

    #[test]
    fn what_is_far_away_is_no_counterpart() {
        let (paper, ours) = (phases(100.0, None), phases(30.0, None));
        let probes = [0.0, 4.0, 12.0, 28.0];
        let at = |x| counterpart(&paper, [x; 2], &ours, &probes);
        assert_eq!([at(20.0), at(40.0), at(98.0)], [Some([4.0; 2]), Some([12.0; 2]), Some([28.0; 2])]);
        assert_eq!([at(8.0), at(60.0), at(80.0)], [None; 3]);
        // Counterparts of a stretch are the measured epochs inside it.
        assert_eq!(counterpart(&paper, [50.0, 98.0], &ours, &probes), Some([28.0; 2]));
        assert_eq!(counterpart(&paper, [50.0, 90.0], &ours, &probes), None);
    }

    #[test]
    fn a_phase_that_is_not_there_has_no_counterparts() {
        let (paper, one) = (phases(200.0, Some(100.0)), phases(30.0, None));
        assert_eq!(counterpart(&paper, [150.0; 2], &one, &every(30)), None);
        assert_eq!(counterpart(&paper, [90.0, 110.0], &paper, &every(200)), None);
        assert_eq!(counterpart(&paper, [200.0; 2], &paper, &every(200)), None);
        assert_eq!(counterpart(&paper, [99.0; 2], &[], &every(30)), None);
        assert_eq!(counterpart(&paper, [f64::NAN; 2], &paper, &[f64::NAN]), None);
    }
}
