//! A quick measurement of the speed of steps, for estimates and not for reports.

use super::Clock;
use super::learning::{Bench, Setting};
use crate::cost;
use crate::stages::StageError;
use learn::batches::Pass;
use learn::train::{Answer, Keeps, Sgd, State};

/// Maximum number of operations per step: some tenths of a second on one core. Steps of large networks then have fewer
/// images, which hardly changes the operations per second.
const STEP: f64 = 2e10;

impl Bench {
    /// Measures the operations per second of one chain, while all chains run steps of SGD on images of noise.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn pace(&self, setting: &Setting) -> Result<f64, StageError> {
        let sgd = Sgd { lr: 1e-4, wd: 0.0, momentum: 0.0, ema: 0.0, sphere: None };
        let of_image = 3.0 * cost::forward(setting.model);
        let batch = setting.batch.min((STEP / of_image) as usize).max(2);
        let timings = self.side_by_side(setting, |number, _| {
            let (images, network) = self.start(setting, number, batch)?;
            let mut state = State::new(network, Keeps::default())?;
            let order: Vec<u32> = (0..batch as u32).collect();
            Ok(Box::new(move |session, timings| {
                let pass = Pass::new(&order, batch, &images)?;
                let mut clock = Clock::start();
                state.run_epoch(&images, &pass, &sgd, 0, session, |_| Answer::Continue)?;
                clock.lap(1, timings);
                Ok(())
            }))
        })?;
        let measured = self.measured(setting, timings);
        Ok(batch as f64 * of_image / measured.seconds(0.5))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::stages::Device;
    use base::work::{Model, ModelName, Policy, Precision};

    #[test]
    fn a_pace_is_found_soon_for_any_network() {
        let bench = Bench::new(&Device::Cpu, Policy::Native, Duration::from_millis(1)).unwrap();
        // With full batches, the steps of the wide network would take minutes.
        for (name, width, batch) in
            [(ModelName::PreactResnet18, 4, 10), (ModelName::Vgg16, 4, 1), (ModelName::PreactResnet34, 64, 4096)]
        {
            let model = Model::new(name, width, 10);
            let setting = Setting {
                model,
                batch,
                images: 0,
                precision: Precision::Fp32,
                channels_last: true,
                average: false,
                chains: 1,
                strict: true,
            };
            let started = Instant::now();
            let pace = bench.pace(&setting).unwrap();
            assert!((1e7..1e14).contains(&pace), "{pace}");
            assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        }
    }
}
