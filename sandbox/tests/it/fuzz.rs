//! No request makes the sandbox panic, neither to the imitated APIs nor to the control API.

use std::cell::{Cell, RefCell};

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config as Runs, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Bench, CUSTOMER, SENDER, TO, one_sender};

/// A value in a path, a form or JSON: of something that exists, or nonsense.
#[derive(Debug, Clone)]
enum Word {
    Account,
    Service,
    Sender,
    Number,
    Content,
    Message,
    Customer,
    Nonsense(String),
}

#[derive(Debug, Clone)]
enum Body {
    Bytes(Vec<u8>),
    Form(Vec<(String, Word)>),
    Json(Value),
}

#[derive(Debug, Clone)]
struct Shot {
    method: &'static str,
    path: &'static str,
    words: Vec<Word>,
    query: Vec<(String, String)>,
    body: Body,
}

const CONTROL: [(&str, &str); 19] = [
    ("POST", "/sandbox/accounts"),
    ("POST", "/sandbox/faults"),
    ("DELETE", "/sandbox/faults"),
    ("POST", "/sandbox/customers/{Customer}/reply"),
    ("POST", "/sandbox/customers/{Customer}/read"),
    ("POST", "/sandbox/customers/{Customer}/block"),
    ("POST", "/sandbox/customers/{Customer}/behaviour"),
    ("POST", "/sandbox/contents/{Sid}/decide"),
    ("POST", "/sandbox/reviews"),
    ("POST", "/sandbox/senders/{Sid}"),
    ("POST", "/sandbox/verifications/{Number}"),
    ("GET", "/sandbox/verifications/{Number}"),
    ("GET", "/sandbox/requests"),
    ("GET", "/sandbox/messages"),
    ("GET", "/sandbox/webhooks"),
    ("POST", "/sandbox/webhooks/{Id}/redeliver"),
    ("POST", "/sandbox/clock"),
    ("POST", "/sandbox/{Anything}"),
    ("DELETE", "/sandbox/{Anything}/{Anything}"),
];

const FIELDS: [&str; 44] = [
    "To",
    "From",
    "Body",
    "MessagingServiceSid",
    "ContentSid",
    "ContentVariables",
    "MediaUrl",
    "StatusCallback",
    "ValidityPeriod",
    "ScheduleType",
    "SendAt",
    "Status",
    "FriendlyName",
    "InboundRequestUrl",
    "Sid",
    "PhoneNumberSid",
    "KeyType",
    "Policy",
    "AccountSid",
    "PageSize",
    "Page",
    "PageToken",
    "DateSent",
    "DateSent<",
    "ContentName",
    "Content",
    "ChannelEligibility",
    "DateCreatedAfter",
    "Channel",
    "channel",
    "messageId",
    "Outcome",
    "types",
    "language",
    "variables",
    "name",
    "category",
    "sender_id",
    "webhook",
    "profile",
    "to",
    "body",
    "seconds",
    "requests",
];

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        Just(Word::Account),
        Just(Word::Service),
        Just(Word::Sender),
        Just(Word::Number),
        Just(Word::Content),
        Just(Word::Message),
        Just(Word::Customer),
        any::<String>().prop_map(Word::Nonsense),
        select(vec![
            "",
            "*",
            "(",
            "{{1}}",
            "{{",
            "}}{{",
            "-1",
            "0",
            "1e99",
            "99999999999999999999",
            "2026-13-45",
            "fixed"
        ])
        .prop_map(|text| Word::Nonsense(text.to_owned())),
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(FIELDS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["en", "UTILITY", "{{1}} é {{2}}", "{{", "whatsapp:+15005550009", TO]).prop_map(Value::from),
        Just(json!({"twilio/text": {"body": "Hi {{1}}é{{"}})),
        Just(json!({"kind": "latency", "ms": 1})),
    ];
    let name = prop_oneof![
        field(),
        select(vec!["twilio/text", "twilio/card", "times", "effect", "path", "decision", "delayMs", "media"])
            .prop_map(str::to_owned)
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name.clone(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn shot() -> impl Strategy<Value = Shot> {
    let all: Vec<_> = sandbox::twilio::operations().chain(CONTROL).collect();
    let body = prop_oneof![
        vec(any::<u8>(), 0..64).prop_map(Body::Bytes),
        vec((field(), word()), 0..8).prop_map(Body::Form),
        json_value().prop_map(Body::Json),
    ];
    let query = vec((field(), any::<String>()), 0..3);
    (select(all), vec(word(), 3), query, body).prop_map(|((method, path), words, query, body)| Shot {
        method,
        path,
        words,
        query,
        body,
    })
}

/// What exists to be named.
struct Things {
    bench: Option<Bench>,
    content: String,
    message: String,
}

impl Things {
    async fn anew(mut bench: Bench) -> Self {
        bench.control.reset().await.unwrap();
        bench.account = bench.control.create_account(&one_sender(SENDER)).await.unwrap();
        bench.open_window().await;
        let content = bench.content("fuzz", "Hi {{1}}, all is well").await;
        let message = bench.sent(&[("Body", "Hello")]).await;
        Self { bench: Some(bench), content, message }
    }

    fn bench(&self) -> &Bench {
        self.bench.as_ref().unwrap()
    }

    fn text(&self, word: &Word) -> String {
        let account = &self.bench().account;
        match word {
            Word::Account => account.account_sid.clone(),
            Word::Service => self.bench().service().to_owned(),
            Word::Sender => account.senders[0].sid.clone(),
            Word::Number => account.senders[0].phone_number_sid.clone(),
            Word::Content => self.content.clone(),
            Word::Message => self.message.clone(),
            Word::Customer => CUSTOMER.to_owned(),
            Word::Nonsense(text) => text.clone(),
        }
    }

    /// Sends the request. Returns the status.
    async fn fire(&self, shot: &Shot) -> u16 {
        let mut words = shot.words.iter();
        let segment = |segment: &str, word: Option<&Word>| match segment.split_once('{') {
            None => segment.to_owned(),
            Some((before, rest)) => {
                let after = rest.split_once('}').map_or("", |(_, after)| after);
                // Mostly the right account, because everything else is refused immediately.
                let text = match word {
                    Some(Word::Nonsense(_)) | None => self.bench().account.account_sid.clone(),
                    Some(word) => self.text(word),
                };
                let text =
                    if segment.starts_with("{AccountSid}") { self.bench().account.account_sid.clone() } else { text };
                format!(
                    "{before}{}{after}",
                    percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC)
                )
            }
        };
        let path: Vec<_> = shot
            .path
            .split('/')
            .map(|place| if place.contains('{') { segment(place, words.next()) } else { place.to_owned() })
            .collect();
        let method: Method = shot.method.parse().unwrap();
        let request = self.bench().request(method, &path.join("/")).query(&shot.query);
        let request = match &shot.body {
            Body::Bytes(bytes) => request.body(bytes.clone()),
            Body::Form(form) => {
                let form: Vec<_> = form.iter().map(|(name, word)| (name, self.text(word))).collect();
                request.form(&form)
            }
            Body::Json(json) => request.json(json),
        };
        request.send().await.unwrap().status().as_u16()
    }
}

#[test]
fn no_request_makes_it_panic() {
    let runtime = Runtime::new().unwrap();
    let things = RefCell::new(runtime.block_on(async { Things::anew(Bench::start().await).await }));
    let fired = Cell::new(0);
    let runs = Runs { cases: 2000, failure_persistence: None, ..Runs::default() };
    let run = TestRunner::new(runs).run(&shot(), |shot| {
        let status = runtime.block_on(things.borrow().fire(&shot));
        prop_assert_ne!(status, 500);
        fired.set(fired.get() + 1);
        if status == 401 || fired.get() % 50 == 0 {
            // The account lost its token, or most of its resources.
            things.replace_with(|things| runtime.block_on(Things::anew(things.bench.take().unwrap())));
        }
        // The next shot must arrive, whatever the rules say.
        runtime.block_on(things.borrow().bench().control.clear_faults()).unwrap();
        Ok(())
    });
    run.unwrap();
    runtime.block_on(async {
        let bench = things.into_inner().bench.unwrap();
        assert_eq!(bench.control.health().await.unwrap().panics, 0);
        // The engine still runs: a defect in it would have ended its task.
        let things = Things::anew(bench).await;
        things.bench().until_status(&things.message, "delivered").await;
    });
}
