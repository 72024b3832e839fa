"""Uses the official Python SDK, unmodified, as an application would, against a sandbox.

SANDBOX_URL, ACCOUNT_SID, AUTH_TOKEN, SENDER (+1…), SENDER_SID and SERVICE_SID say which. The account is new, and the
customer has not written yet.
"""

import json
import os
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

SANDBOX_URL = os.environ["SANDBOX_URL"]
ACCOUNT_SID = os.environ["ACCOUNT_SID"]
AUTH_TOKEN = os.environ["AUTH_TOKEN"]
SENDER = os.environ["SENDER"]
SENDER_SID = os.environ["SENDER_SID"]
SERVICE_SID = os.environ["SERVICE_SID"]
CUSTOMER = "whatsapp:+447700900123"
FROM = f"whatsapp:{SENDER}"


def new_client(username, password):
    client = Client(username, password, ACCOUNT_SID)
    for domain in (client.api, client.accounts, client.content, client.iam, client.messaging):
        domain.base_url = SANDBOX_URL
    return client


client = new_client(ACCOUNT_SID, AUTH_TOKEN)
arrived = []


class Receiver(BaseHTTPRequestHandler):
    """Records what arrives."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        arrived.append((self.path, self.headers["x-twilio-signature"], params))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
RECEIVER_URL = f"http://127.0.0.1:{receiver.server_address[1]}"


def control(path, body):
    request = urllib.request.Request(f"{SANDBOX_URL}/sandbox/{path}", data=json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def until(what, look):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"not in time: {what}")


def refused(status, code, call):
    try:
        call()
    except TwilioRestException as error:
        assert (error.status, error.code) == (status, code), error
    else:
        raise AssertionError(f"expected {status} with code {code}")


def accounts():
    assert client.api.v2010.accounts(ACCOUNT_SID).fetch().status == "active"
    key = client.new_keys.create(friendly_name="check")
    limited = new_client(key.sid, key.secret)
    limited.messages.list(limit=1)
    refused(401, 20003, limited.api.v2010.accounts(ACCOUNT_SID).fetch)
    assert key.sid in [listed.sid for listed in client.iam.v1.get_api_keys.list(account_sid=ACCOUNT_SID)]
    assert client.keys(key.sid).delete()
    assert len(client.accounts.v1.secondary_auth_token().create().secondary_auth_token) == 32
    assert client.accounts.v1.secondary_auth_token().delete()


def messages():
    control(f"customers/{urllib.parse.quote(CUSTOMER)}/reply", {"to": SENDER, "body": "Hello"})
    url = f"{RECEIVER_URL}/status?attempt=1"
    message = client.messages.create(to=CUSTOMER, from_=FROM, body="Hello ✓", status_callback=url)
    assert message.status == "queued" and message.date_created is not None
    until("delivered", lambda: client.messages(message.sid).fetch().status == "delivered")

    until("two status callbacks", lambda: len(arrived) >= 2)
    validator = RequestValidator(AUTH_TOKEN)
    for path, signature, params in arrived:
        assert params["MessageSid"] == message.sid
        assert validator.validate(RECEIVER_URL + path, params, signature), params
        assert not validator.validate(RECEIVER_URL + path, {**params, "MessageStatus": "read"}, signature)

    for sent in range(4):
        client.messages.create(to=CUSTOMER, messaging_service_sid=SERVICE_SID, body=f"number {sent}")
    listed = client.messages.list(to=CUSTOMER, page_size=2)
    assert [listed[0].body, listed[4].sid, len(listed)] == ["number 3", message.sid, 5]
    assert client.messages(message.sid).update(body="").body == ""
    assert client.messages(message.sid).delete()
    refused(404, 20404, client.messages(message.sid).fetch)
    refused(400, 21619, lambda: client.messages.create(to=CUSTOMER, from_=FROM))


def contents():
    api = client.content.v1.contents
    created = []
    for name in ("order_shipped", "order_lost", "order_found"):
        request = api.ContentCreateRequest({
            "friendly_name": name,
            "language": "en",
            "variables": {"1": "Ava"},
            "types": api.Types({"twilio/text": {"body": "Hi {{1}}, this is about your order"}}),
        })
        created.append(client.content.v1.contents.create(request))
    content = created[0]
    approvals = client.content.v1.contents(content.sid)
    request = approvals.approval_create.ContentApprovalRequest({"name": "order_shipped", "category": "UTILITY"})
    assert approvals.approval_create.create(request).status == "received"
    until("approved", lambda: approvals.approval_fetch().fetch().whatsapp["status"] == "approved")
    change = api.ContentUpdateRequest({"types": api.Types({"twilio/text": {"body": "Other"}})})
    refused(400, 92009, lambda: approvals.update(change))
    listed = client.content.v2.content_and_approvals.list(content_name="^order_", page_size=2)
    assert sorted(row.sid for row in listed) == sorted(row.sid for row in created)
    approved = client.content.v2.content_and_approvals.list(channel_eligibility=["whatsapp:approved"])
    assert [row.sid for row in approved] == [content.sid]

    variables = json.dumps({"1": "Noor"})
    message = client.messages.create(
        to="whatsapp:+447700900199", from_=FROM, content_sid=content.sid, content_variables=variables
    )
    assert message.sid.startswith("MM") and message.body == "Hi Noor, this is about your order"
    assert client.content.v1.contents(created[2].sid).delete()


def services():
    api = client.messaging.v1.services
    service = api.create(friendly_name="check", inbound_request_url="https://example.com")
    assert service.inbound_request_url == "https://example.com/"
    assert [member.sender for member in api(SERVICE_SID).channel_senders.list()] == [FROM]
    assert api(service.sid).update(status_callback="https://example.com/s").status_callback == "https://example.com/s"
    assert len(api.list(page_size=1)) == 2
    assert api(service.sid).delete()


def senders():
    api = client.messaging.v2.channels_senders
    assert [sender.sid for sender in api.list(channel="whatsapp")] == [SENDER_SID]
    webhook = api.MessagingV2ChannelsSenderWebhook({"callback_url": "https://example.com/in"})
    request = api.MessagingV2ChannelsSenderRequestsUpdate({"webhook": webhook})
    assert api(SENDER_SID).update(request).status == "ONLINE:UPDATING"
    until("online", lambda: api(SENDER_SID).fetch().status == "ONLINE")


for part in (accounts, messages, contents, services, senders):
    part()
    print(f"{part.__name__}: ok", flush=True)
