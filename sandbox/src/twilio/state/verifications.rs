//! Numbers that WhatsApp verifies with a code, because they are none of Twilio's, which receives the code itself.
//!
//! Whoever asks too often locks a number. Meta allows 10 requests to register a number in 72 hours, and then none for
//! 72 hours. (Meta docs, registering a phone number.) How codes count there is not documented; here each counts as a
//! request.

use std::collections::VecDeque;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::twilio::{errors::ApiError, types::VerificationRecord};

const WINDOW: SignedDuration = SignedDuration::from_hours(72);
const MOST_REQUESTS: usize = 10;

#[derive(Debug, Clone)]
pub(crate) struct Verification {
    /// What WhatsApp sends to the number.
    pub(crate) code: String,
    registrations: u32,
    codes: Vec<String>,
    wrong_codes: u32,
    /// The newest requests.
    requests: VecDeque<Timestamp>,
    locked_until: Option<Timestamp>,
}

impl Verification {
    pub(crate) fn new(code: String) -> Self {
        Self {
            code,
            registrations: 0,
            codes: Vec::new(),
            wrong_codes: 0,
            requests: VecDeque::new(),
            locked_until: None,
        }
    }

    pub(crate) fn register(&mut self, now: Timestamp) -> Result<(), ApiError> {
        self.request(now)?;
        self.registrations += 1;
        Ok(())
    }

    /// Returns whether the code is the right one.
    pub(crate) fn try_code(&mut self, code: &str, now: Timestamp) -> Result<bool, ApiError> {
        self.request(now)?;
        // Locked long before there are many.
        self.codes.push(code.to_owned());
        let is_right = code == self.code;
        self.wrong_codes += u32::from(!is_right);
        Ok(is_right)
    }

    fn request(&mut self, now: Timestamp) -> Result<(), ApiError> {
        let is_locked = |until: &Option<Timestamp>| until.is_some_and(|until| now < until);
        let in_window = self.requests.iter().filter(|at| now.duration_since(**at) < WINDOW).count();
        if in_window >= MOST_REQUESTS && !is_locked(&self.locked_until) {
            self.locked_until = now.checked_add(WINDOW).ok();
        }
        if is_locked(&self.locked_until) {
            let message = "too many attempts to verify the phone number; it is locked for 72 hours";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 63114, message));
        }
        self.requests.push_back(now);
        if self.requests.len() > MOST_REQUESTS {
            self.requests.pop_front();
        }
        Ok(())
    }

    pub(crate) fn record(&self) -> VerificationRecord {
        VerificationRecord {
            code: self.code.clone(),
            registrations: self.registrations,
            codes: self.codes.clone(),
            wrong_codes: self.wrong_codes,
            locked_until: self.locked_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    #[test]
    fn the_eleventh_request_within_72_hours_locks_the_number_for_72_hours() {
        let mut verification = Verification::new("123456".to_owned());
        assert_eq!(verification.register(at(0)), Ok(()));
        for hour in 1..10 {
            assert_eq!(verification.try_code("111111", at(hour)), Ok(false));
        }
        assert_eq!(verification.record().locked_until, None);
        assert_eq!(verification.try_code("123456", at(71)).unwrap_err().code, 63114);
        assert_eq!(verification.record().locked_until, Some(at(71 + 72)));
        assert_eq!(verification.register(at(142)).unwrap_err().code, 63114);
        assert_eq!(verification.try_code("123456", at(143)), Ok(true));
        assert_eq!(verification.record().wrong_codes, 9);
    }

    #[test]
    fn requests_of_the_last_72_hours_count_and_older_ones_do_not() {
        let mut verification = Verification::new("123456".to_owned());
        for hour in 0..100 {
            assert_eq!(verification.try_code("111111", at(hour * 8)), Ok(false), "{hour}");
        }
    }
}
