//! The official OpenAPI documents: the sandbox accepts what they allow, and answers what they describe.
//!
//! Every operation of the sandbox is called on a separate account: with what is required, and once more for each
//! optional parameter. An answer must have a documented status, fit its schema, and have no undocumented property.

use std::collections::BTreeSet;

use reqwest::Method;
use sandbox::{
    twilio::types::{NewAccount, NewAlert, NewService},
    types::WebhookFilter,
};
use serde_json::{Map, Value, json};

use crate::{
    reference,
    support::{Bench, CUSTOMER, FROM, SENDER, TO, answer},
};

/// Operations that no document describes.
const UNDOCUMENTED: [(&str, &str, &str); 1] = [(
    "GET",
    "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}",
    "the bytes of a media: the same path without .json, described in prose only",
)];

/// Optional parameters that need others to make sense.
const COMPANIONS: [(&str, &[(&str, &str)]); 5] = [
    ("SendAt", &[("ScheduleType", "fixed")]),
    ("ScheduleType", &[("SendAt", "in an hour")]),
    ("ContentVariables", &[("ContentSid", "content")]),
    ("Policy", &[("KeyType", "restricted")]),
    ("MessagingServiceSid", &[("From", "")]),
];

/// An operation that a document describes.
struct Operation<'d> {
    document: &'d Value,
    method: &'static str,
    path: &'static str,
    described: &'d Value,
}

/// The resources that one operation works on.
struct Ground<'b> {
    bench: &'b Bench,
    content: String,
    message: String,
    media: String,
    key: String,
    alert: String,
    /// Not in any service.
    spare_sender: String,
    spare_number: String,
    in_an_hour: String,
    new_sender: String,
    from: String,
    sink: String,
    subscription: String,
    /// The id in the sink's last test event.
    test: String,
}

#[tokio::test]
async fn every_operation_accepts_what_the_documents_allow_and_answers_what_they_describe() {
    let Some(documents) = reference::openapi() else { return };
    let mut bench = Bench::start().await;
    let mut problems = Vec::new();
    let mut calls = 0;
    for (method, path) in sandbox::twilio::operations() {
        if UNDOCUMENTED.iter().any(|(m, p, _)| (*m, *p) == (method, path)) {
            continue;
        }
        let describing: Vec<_> = documents
            .iter()
            .filter_map(|document| {
                let described = document["paths"].get(path)?.get(method.to_ascii_lowercase())?;
                Some(Operation { document, method, path, described })
            })
            .collect();
        assert!(!describing.is_empty(), "no document describes {method} {path}");
        for operation in describing {
            for request in requests(&operation) {
                calls += 1;
                if let Err(problem) = check(&mut bench, calls, &operation, &request).await {
                    problems.push(format!("{method} {path}\n  {request:?}\n  {problem}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} of {calls} calls:\n{}", problems.len(), problems.join("\n"));
    assert!(calls > 200, "only {calls} calls were made");
}

/// Parameters, or a JSON body, or neither.
#[derive(Debug, Clone, Default)]
struct Parameters {
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    json: Option<Value>,
}

/// One request with what is required, and one more for each optional parameter.
fn requests(operation: &Operation<'_>) -> Vec<Parameters> {
    let mut requests = Vec::new();
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    let parameters = operation.described["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
        let name = parameter["name"].as_str().unwrap().to_owned();
        let value = text(&value(operation.document, &parameter["schema"], &name));
        if parameter["required"] == true { required.push((name, value)) } else { optional.push((name, value)) }
    }
    let base = Parameters { query: required, ..Parameters::default() };
    for pair in optional {
        let query = [base.query.clone(), vec![pair]].concat();
        requests.push(Parameters { query, ..base.clone() });
    }

    let body = &operation.described["requestBody"]["content"];
    if let Some(schema) = body.get("application/x-www-form-urlencoded").map(|content| &content["schema"]) {
        requests.extend(forms(operation.document, schema));
    } else if let Some(schema) = body.get("application/json").map(|content| &content["schema"]) {
        requests.extend(
            jsons(operation.document, schema).into_iter().map(|json| Parameters { json: Some(json), ..base.clone() }),
        );
    } else {
        requests.push(base);
    }
    requests
}

fn forms(document: &Value, schema: &Value) -> Vec<Parameters> {
    let schema = resolved(document, schema);
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|r| r.iter().any(|r| r == name));
    let required: Vec<_> = properties(schema)
        .filter(|(name, _)| is_required(name))
        .map(|(name, schema)| (name.clone(), text(&value(document, schema, name))))
        .collect();
    let mut requests = vec![Parameters { form: required.clone(), ..Parameters::default() }];
    for (name, schema) in properties(schema).filter(|(name, _)| !is_required(name)) {
        let schema = resolved(document, schema);
        let mut values: Vec<String> = schema["enum"].as_array().into_iter().flatten().map(text).collect();
        if values.is_empty() {
            values.push(text(&value(document, schema, name)));
        }
        for value in values {
            let mut form = required.clone();
            form.push((name.clone(), value));
            let companions = COMPANIONS.iter().filter(|(other, _)| other == name).flat_map(|(_, with)| with.iter());
            form.extend(companions.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            requests.push(Parameters { form, ..Parameters::default() });
        }
    }
    requests
}

/// A full body, a minimal one, and for contents one for each type.
fn jsons(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolved(document, schema);
    let full = value(document, schema, "");
    let mut minimal = full.clone();
    if let Some(body) = minimal.as_object_mut() {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        // WhatsApp requires a profile's name, although the schema does not.
        body.retain(|name, _| required.iter().any(|required| required == name) || name == "profile");
    }
    let mut bodies = vec![minimal];
    match full["types"].as_object() {
        None => bodies.push(full),
        Some(types) => bodies.extend(types.iter().map(|(name, content)| {
            let mut body = full.clone();
            body["types"] = json!({name: content});
            body
        })),
    }
    bodies
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(reference.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

/// A meaningful value that a schema allows.
fn value(document: &Value, schema: &Value, name: &str) -> Value {
    let schema = resolved(document, schema);
    let known = match name {
        "To" => Some(json!(TO)),
        "From" => Some(json!(FROM)),
        "FallbackFrom" => Some(json!(SENDER)),
        "ContentSid" => Some(json!("content")),
        "MessagingServiceSid" => Some(json!("service")),
        "AccountSid" => Some(json!("account")),
        "Sid" => Some(json!("spare sender")),
        "PhoneNumberSid" => Some(json!("spare number")),
        "messageId" => Some(json!("message")),
        "SendAt" => Some(json!("in an hour")),
        "ContentVariables" => Some(json!("{\"1\":\"Ava\"}")),
        "Policy" => Some(json!("{\"allow\":[\"/twilio/messaging/messages/read\"]}")),
        "Usecase" => Some(json!("marketing")),
        "ValidityPeriod" => Some(json!(600)),
        "Channel" | "channel" => Some(json!("whatsapp")),
        "ChannelEligibility" => Some(json!("whatsapp:approved")),
        "SortByDate" | "SortByContentName" => Some(json!("asc")),
        "PageToken" => Some(json!("PASM00000000000000000000000000000000")),
        "name" => Some(json!("order_shipped")),
        "category" => Some(json!("UTILITY")),
        "language" => Some(json!("en")),
        "variables" => Some(json!({"1": "Ava"})),
        "sender_id" => Some(json!("a new sender")),
        "SinkType" => Some(json!("webhook")),
        "SinkConfiguration" => Some(json!("{\"destination\":\"http://127.0.0.1:1/events\",\"method\":\"POST\"}")),
        "SinkSid" => Some(json!("sink")),
        "Types" => Some(json!(["{\"type\":\"com.twilio.messaging.template.approval.updated\"}"])),
        "TestId" => Some(json!("test")),
        _ => None,
    };
    if let Some(known) = known {
        return known;
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("object"), _) | (None, None) if schema["properties"].is_object() => {
            let filled = properties(schema).map(|(name, schema)| (name.clone(), value(document, schema, name)));
            Value::Object(filled.filter(|(_, value)| !value.is_null()).collect())
        }
        (Some("array"), _) => json!([value(document, &schema["items"], "")]),
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(true),
        (Some("object"), _) => json!({}),
        (_, Some("uri")) => json!("https://example.com/x"),
        (_, Some("date-time")) => json!("2026-01-31T00:00:00Z"),
        (Some("string"), _) if name.ends_with("_url") => json!("https://example.com/x"),
        (Some("string"), _) => json!("x"),
        _ => Value::Null,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.first().map(text).unwrap_or_default(),
        value => value.to_string(),
    }
}

impl<'b> Ground<'b> {
    /// Switches the bench to a new account with two senders, one of them in no service.
    async fn prepare(bench: &'b mut Bench, number: usize) -> Self {
        let numbers = [format!("+1500000{number:04}"), format!("+1500001{number:04}")];
        let account = NewAccount {
            senders: numbers.iter().map(|number| number.as_str().into()).collect(),
            services: vec![NewService { senders: Some(vec![numbers[0].clone()]), ..NewService::default() }],
            ..NewAccount::default()
        };
        bench.account = bench.control.create_account(&account).await.unwrap();
        let content = bench.content("order_shipped", "Hi {{1}}, your order is on its way").await;
        let reply = json!({
            "to": numbers[0],
            "body": "Hello",
            "media": [{"contentType": "image/png", "data": "aGVsbG8="}],
        });
        let reply = bench.control.reply(CUSTOMER, &serde_json::from_value(reply).unwrap()).await.unwrap();
        let (_, media) = bench.get(&bench.path(&format!("Messages/{}/Media.json", reply.message_sid))).await;
        let (_, key) = bench.post(&bench.path("Keys.json"), &[]).await;
        let alert = NewAlert {
            account: bench.account.account_sid.clone(),
            request_url: Some("https://example.com/x".to_owned()),
            ..NewAlert::default()
        };
        let alert = bench.control.add_alert(&alert).await.unwrap().sid;
        let now = bench.control.health().await.unwrap().now;
        let (sink, subscription) = bench.subscribe("http://127.0.0.1:1/events").await;
        Self {
            sink,
            subscription,
            test: String::new(),
            content,
            alert,
            message: reply.message_sid,
            media: media["media_list"][0]["sid"].as_str().unwrap().to_owned(),
            key: key["sid"].as_str().unwrap().to_owned(),
            spare_sender: bench.account.senders[1].sid.clone(),
            spare_number: bench.account.senders[1].phone_number_sid.clone(),
            in_an_hour: (now + jiff::SignedDuration::from_hours(1)).to_string(),
            new_sender: format!("whatsapp:+1500002{number:04}"),
            from: format!("whatsapp:{}", numbers[0]),
            bench,
        }
    }

    /// A sink without subscriptions can be deleted, and one that was sent a test event can be validated.
    async fn unsubscribe_or_test(&mut self, operation: &Operation<'_>) {
        if operation.method == "DELETE" && operation.path == "/v1/Sinks/{Sid}" {
            self.bench.delete(&format!("/v1/Subscriptions/{}", self.subscription)).await;
        }
        if operation.path.ends_with("/Validate") {
            self.bench.post(&format!("/v1/Sinks/{}/Test", self.sink), &[]).await;
            let filter = WebhookFilter { account: Some(self.bench.account.account_sid.clone()), ..Default::default() };
            let sent = self.bench.control.webhooks(&filter).await.unwrap();
            let test = sent.iter().rfind(|webhook| webhook.message_status == "test").unwrap();
            self.test.clone_from(&test.message_sid);
        }
    }

    /// The real value for a placeholder.
    fn real(&self, stand_in: &str) -> String {
        match stand_in {
            "account" => self.bench.account.account_sid.clone(),
            "service" => self.bench.service().to_owned(),
            "content" => self.content.clone(),
            "message" => self.message.clone(),
            "spare sender" => self.spare_sender.clone(),
            "spare number" => self.spare_number.clone(),
            "in an hour" => self.in_an_hour.clone(),
            "a new sender" => self.new_sender.clone(),
            "sink" => self.sink.clone(),
            "test" => self.test.clone(),
            FROM => self.from.clone(),
            other => other.to_owned(),
        }
    }

    /// The path with its variables filled in, after creating what must exist.
    async fn path(&self, operation: &Operation<'_>) -> String {
        let bench = self.bench;
        let account = bench.account.account_sid.as_str();
        let sid = match operation.path {
            path if path.contains("/ChannelSenders/") => bench.account.senders[0].sid.as_str(),
            path if path.contains("/PhoneNumbers/") => {
                let path = format!("/v1/Services/{}/PhoneNumbers", bench.service());
                bench.post(&path, &[("PhoneNumberSid", &self.spare_number)]).await;
                &self.spare_number
            }
            path if path.contains("/Media/") => &self.media,
            path if path.contains("/Messages/") => &self.message,
            path if path.contains("/Alerts/") => &self.alert,
            path if path.contains("Keys/") => &self.key,
            path if path.contains("/Content/") => &self.content,
            path if path.contains("/Services/") => bench.service(),
            path if path.contains("/Sinks/") => &self.sink,
            path if path.contains("/Subscriptions/") => &self.subscription,
            path if path.contains("/Senders/") => bench.account.senders[0].sid.as_str(),
            _ => account,
        };
        if operation.path.starts_with("/v1/AuthTokens")
            && (operation.method == "DELETE" || operation.path.ends_with("Promote"))
        {
            bench.post("/v1/AuthTokens/Secondary", &[]).await;
        }
        operation
            .path
            .replace("{AccountSid}", account)
            .replace("{MessageSid}", &self.message)
            .replace("{MessagingServiceSid}", bench.service())
            .replace("{ServiceSid}", bench.service())
            .replace("{ContentSid}", &self.content)
            .replace("{SubscriptionSid}", &self.subscription)
            .replace("{Sid}", sid)
    }
}

async fn check(
    bench: &mut Bench,
    number: usize,
    operation: &Operation<'_>,
    parameters: &Parameters,
) -> Result<(), String> {
    let mut ground = Ground::prepare(bench, number).await;
    ground.unsubscribe_or_test(operation).await;
    let path = ground.path(operation).await;
    let with_reals = |pairs: &[(String, String)]| -> Vec<(String, String)> {
        let reals = pairs.iter().map(|(name, value)| (name.clone(), ground.real(value)));
        reals.filter(|(name, value)| !(value.is_empty() && name == "From")).collect()
    };
    let mut form = with_reals(&parameters.form);
    if operation.path.ends_with("/Messages.json") && operation.method == "POST" {
        complete(&mut form, &ground, parameters);
    }
    if operation.path.ends_with("/Messages/{Sid}.json") && operation.method == "POST" {
        form = update(&form);
    }
    let method: Method = operation.method.parse().unwrap();
    let mut request = ground.bench.request(method, &path).query(&with_reals(&parameters.query));
    if let Some(json) = &parameters.json {
        let mut json = json.clone();
        if let Some(sender) = json.get_mut("sender_id") {
            *sender = json!(ground.new_sender);
        }
        request = request.json(&json);
    } else if operation.method == "POST" {
        request = request.form(&form);
    }
    let (status, body) = answer(request).await;
    if operation.path.ends_with("/Messages/{Sid}.json") && form.iter().any(|(name, _)| name == "Status") {
        // The spec allows the request, but this message is complete and can no longer be canceled.
        return if status == 400 { Ok(()) } else { Err(format!("answered {status}: {body}")) };
    }
    let described = operation.described["responses"].get(status.to_string());
    let described = described.ok_or_else(|| format!("answered {status}: {body}"))?;
    match described["content"].get("application/json") {
        None => Ok(()),
        Some(content) => fits(operation.document, &content["schema"], &body),
    }
}

/// Adds what a message needs besides its recipient.
fn complete(form: &mut Vec<(String, String)>, ground: &Ground<'_>, asked: &Parameters) {
    let has = |form: &[(String, String)], name: &str| form.iter().any(|(key, _)| key == name);
    if has(form, "ScheduleType") && !has(form, "MessagingServiceSid") {
        form.push(("MessagingServiceSid".to_owned(), ground.bench.service().to_owned()));
    }
    if !has(form, "From") && !has(form, "MessagingServiceSid") && !asked.form.iter().any(|(_, value)| value == FROM) {
        form.push(("From".to_owned(), ground.real(FROM)));
    }
    if !["Body", "MediaUrl", "ContentSid"].iter().any(|name| has(form, name)) {
        form.push(("Body".to_owned(), "Hello".to_owned()));
    }
}

/// A message's body can only become empty.
fn update(form: &[(String, String)]) -> Vec<(String, String)> {
    let emptied =
        |(name, value): &(String, String)| (name.clone(), if name == "Body" { String::new() } else { value.clone() });
    form.iter().map(emptied).collect()
}

/// Checks a body against a schema of a document.
fn fits(document: &Value, schema: &Value, body: &Value) -> Result<(), String> {
    let schema = json!({"allOf": [translated(schema)], "components": translated(&document["components"])});
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    let errors: Vec<_> = validator
        .iter_errors(body)
        .map(|error| format!("{} at '{}': {}", error, error.instance_path(), error.instance()))
        .collect();
    let dates = wrong_dates(body);
    if errors.is_empty() && dates.is_empty() { Ok(()) } else { Err([errors, dates].concat().join("\n  ")) }
}

/// Translates OpenAPI 3.0's dialect to JSON Schema: `nullable`, and no unknown properties.
fn translated(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return match schema {
            Value::Array(items) => items.iter().map(translated).collect(),
            other => other.clone(),
        };
    };
    let mut fields: Map<String, Value> = fields.iter().map(|(name, field)| (name.clone(), translated(field))).collect();
    let nullable = fields.get("nullable") == Some(&json!(true));
    if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    // The documents' formats are checked elsewhere; JSON Schema ignores `example` and similar fields.
    fields.remove("format");
    // OpenAPI 3.0 ignores everything beside a reference, but the documents mean `nullable` there.
    let is_reference = fields.get("$ref").is_some_and(Value::is_string);
    if is_reference {
        fields.retain(|name, _| name == "$ref");
    }
    if nullable { json!({"anyOf": [fields, {"type": "null"}]}) } else { Value::Object(fields) }
}

/// Dates in neither API's format.
fn wrong_dates(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![body];
    let mut seen = BTreeSet::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let (true, Some(date)) = (name.starts_with("date_"), field.as_str()) {
                        let iso = date.parse::<jiff::Timestamp>().is_ok() && date.ends_with('Z');
                        let rfc = jiff::fmt::rfc2822::parse(date).is_ok() && date.ends_with(" +0000");
                        if !(iso || rfc) && seen.insert(date) {
                            found.push(format!("{name} is '{date}'"));
                        }
                    }
                    open.push(field);
                }
            }
            _ => {}
        }
    }
    found
}
