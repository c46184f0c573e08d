//! What time it is by the API server: it says so in the head of every answer.
//!
//! Rights: none but to talk to it.

use http::{Method, Request, header::DATE};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::{Client, client::Body};

use super::client::deadline;
use crate::engine::ClockLook;

/// A `Date` is cut to whole seconds: on average the time is half of one later.
const HALF: SignedDuration = SignedDuration::from_millis(500);

/// Compares the clocks once.
pub async fn look(client: &Client) -> ClockLook {
    let sent = Timestamp::now();
    let answered = date(client).await;
    let received = Timestamp::now();
    ClockLook {
        at: received,
        offset: answered.map(|date| offset(date, sent, received)),
    }
}

async fn date(client: &Client) -> Result<Timestamp, String> {
    let request = Request::builder().method(Method::GET).uri("/version");
    let request = request
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(deadline::READ, client.send(request)).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?;
    let answer = answer.map_err(|error| error.to_string())?;
    let date = answer
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok());
    let date = date.ok_or("the answer has no Date")?;
    // HTTP writes GMT, which mail calls obsolete and still reads.
    rfc2822::parse(date)
        .map(|date| date.timestamp())
        .map_err(|error| format!("its Date is {date:?}: {error}"))
}

/// How far the server is ahead, and how much of that is uncertain.
fn offset(
    date: Timestamp,
    sent: Timestamp,
    received: Timestamp,
) -> (SignedDuration, SignedDuration) {
    let under_way = received.duration_since(sent) / 2;
    let between = date.duration_since(sent) - under_way + HALF;
    (between, under_way + HALF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_under_way_is_shared_and_a_date_is_as_good_as_its_second() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (sent, received) = (at("2026-06-01T12:00:00.2Z"), at("2026-06-01T12:00:01.2Z"));
        let (offset, uncertain) = offset(at("2026-06-01T12:00:10Z"), sent, received);
        assert_eq!(offset, SignedDuration::from_millis(9_800));
        assert_eq!(uncertain, SignedDuration::from_secs(1));
    }

    #[test]
    fn a_date_of_http_is_read() {
        let read = rfc2822::parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(read.timestamp().to_string(), "1994-11-06T08:49:37Z");
    }
}
