//! Retrying after temporary failures.

use std::time::Duration;

use super::RemoteError;

/// Maximum number of attempts without progress.
const ATTEMPTS: u32 = 5;

/// Pause after the first failure; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs `action` again as long as it fails temporarily. `action` reports its progress as a growing number: as long as
/// it makes progress, it can fail any number of times.
pub fn retried<T>(mut action: impl FnMut(&mut u64) -> Result<T, RemoteError>) -> Result<T, RemoteError> {
    let (mut failures, mut farthest) = (0, 0);
    loop {
        let mut reached = farthest;
        match action(&mut reached) {
            Err(error) if error.is_passing() => {
                failures = if reached > farthest { 1 } else { failures + 1 };
                if failures >= ATTEMPTS {
                    return Err(error);
                }
                farthest = reached;
                std::thread::sleep(PAUSE * 2_u32.pow(failures - 1));
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> RemoteError {
        RemoteError::Unreachable { at: "x".into(), reason: "y".into() }
    }

    #[test]
    fn who_gets_on_may_fail_often_and_who_does_not_gives_up() {
        let mut steps = 0;
        let done = retried(|reached| {
            steps += 1;
            *reached += 1;
            if steps < 8 { Err(gone()) } else { Ok(steps) }
        });
        assert_eq!(done.unwrap(), 8);

        let mut tries = 0;
        assert!(
            retried(|_| -> Result<(), _> {
                tries += 1;
                Err(gone())
            })
            .is_err()
        );
        assert_eq!(tries, ATTEMPTS);

        let mut tries = 0;
        assert!(
            retried(|_| -> Result<(), _> {
                tries += 1;
                Err(RemoteError::ReadOnly("x".into()))
            })
            .is_err()
        );
        assert_eq!(tries, 1, "what does not pass is not tried again");
    }
}
