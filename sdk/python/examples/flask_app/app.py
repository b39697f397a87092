"""A magazine in Flask."""

from flask import Flask, render_template_string, session

import momsflow
from momsflow.integrations.flask import Momsflow

app = Flask(__name__)
app.secret_key = "only an example"
app.config["MOMSFLOW"] = {
    # The write key and the host come from the environment.
    "strict": False,
    "pixel": {"host": "https://events.example.com", "write_key": "public-key"},
}
Momsflow(app, user_id=lambda: session.get("user_id"))


@app.get("/articles/<content_id>")
def article(content_id: str) -> str:
    momsflow.track(event="Article Viewed", properties={"content_id": content_id})
    return render_template_string("<h1>{{ id }}</h1>{{ momsflow_pixel() }}", id=content_id)


@app.post("/login/<user_id>")
def login(user_id: str) -> str:
    session["user_id"] = user_id
    momsflow.identify(traits={"plan": "free"})
    return "welcome"
