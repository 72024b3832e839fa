//! The only place that reads the machine's clock, and the date formats that providers write.

use jiff::Timestamp;

/// The machine's time. Everything else asks [`crate::world::World::now`], which a test can move forward.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
pub(crate) fn machine_time() -> Timestamp {
    Timestamp::now()
}

/// `Thu, 24 Aug 2023 05:01:45 +0000`, as the 2010 API writes dates.
pub(crate) fn rfc2822(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// `2023-08-24T05:01:45Z`, as the newer APIs write dates.
pub(crate) fn iso8601(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_each_api_writes_them() {
        let at: Timestamp = "2023-08-24T05:01:45.678Z".parse().unwrap();
        assert_eq!(rfc2822(at), "Thu, 24 Aug 2023 05:01:45 +0000");
        assert_eq!(iso8601(at), "2023-08-24T05:01:45Z");
    }
}
