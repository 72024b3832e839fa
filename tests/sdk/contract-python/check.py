"""Sends, reads and lists with a client that openapi-python-client made from the API's description, errors included."""

import os
import sys

sys.path.insert(0, os.environ["CLIENT"])

from whatsapp import AuthenticatedClient
from whatsapp.api.messages import cancel_message, get_message, list_messages, send_message
from whatsapp.models import Problem, SendMessage, Status, TemplateContent, TemplateContentValues

customer = "+447700900123"


def client_with(key):
    return AuthenticatedClient(base_url=os.environ["API_URL"], token=key)


def hello(name="hello"):
    values = TemplateContentValues.from_dict({"1": "Ava"})
    return SendMessage(to=customer, from_="support", template=TemplateContent(name=name, values=values))


def problem(answer, status):
    assert answer.status_code == status, answer
    assert isinstance(answer.parsed, Problem) and answer.parsed.status == status, answer
    return answer.parsed


with client_with(os.environ["API_KEY"]) as client:
    sent = send_message.sync_detailed(client=client, body=hello(), idempotency_key="python-1")
    assert sent.status_code == 202, sent
    assert (sent.parsed.status, sent.parsed.sender, sent.parsed.from_) == (Status.QUEUED, "support", "+14155238886"), sent
    again = send_message.sync_detailed(client=client, body=hello(), idempotency_key="python-1")
    assert (again.parsed.id, again.headers["idempotency-replayed"]) == (sent.parsed.id, "true"), again

    read = get_message.sync(sent.parsed.id, client=client)
    assert [step.status for step in read.timeline] == [Status.QUEUED], read
    assert read.template.values.to_dict() == {"1": "Ava"}, read
    listed = list_messages.sync(client=client, status=Status.QUEUED, to=customer, limit=200)
    assert sent.parsed.id in [message.id for message in listed.items], listed
    canceled = cancel_message.sync(sent.parsed.id, client=client)
    assert (canceled.status, canceled.reason.code) == (Status.CANCELED, "canceled"), canceled

    unknown = problem(send_message.sync_detailed(client=client, body=hello("other")), 422)
    assert [(e.pointer, e.code) for e in unknown.errors] == [("/template/name", "template_unknown")], unknown
    used = problem(send_message.sync_detailed(client=client, body=hello("other"), idempotency_key="python-1"), 422)
    assert used.type_.endswith("idempotency-key-reused"), used
    problem(get_message.sync_detailed("msg_00000000000000000000000000000000", client=client), 404)
    problem(list_messages.sync_detailed(client=client, limit=500), 400)

with client_with("wrong") as stranger:
    problem(list_messages.sync_detailed(client=stranger), 401)
