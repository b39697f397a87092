"""Tasks of a magazine. The broker is a folder, so that the example needs no server."""

import os
import tempfile

from celery import Celery

import momsflow
from momsflow.integrations import celery as momsflow_celery

folder = os.environ.get("BROKER_FOLDER", tempfile.gettempdir())
app = Celery("magazine", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": f"{folder}/queue",
    "data_folder_out": f"{folder}/queue",
    "control_folder": f"{folder}/control",
}
for name in ("queue", "control"):
    os.makedirs(f"{folder}/{name}", exist_ok=True)
momsflow_celery.connect()


@app.task
def send_newsletter(number: int) -> None:
    # Who it is for, and from which page it was asked for, comes from the request that sent the task.
    momsflow.track(event="Newsletter Sent", properties={"number": number})
