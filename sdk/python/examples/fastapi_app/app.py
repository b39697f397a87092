"""A magazine in FastAPI."""

from fastapi import FastAPI

import momsflow
from momsflow.integrations.asgi import MomsflowMiddleware

app = FastAPI()
# Anything that knows the user may put it into the scope, before or after this middleware.
app.add_middleware(MomsflowMiddleware, user_id=lambda scope: scope.get("state", {}).get("user_id"))


@app.get("/articles/{content_id}")
async def article(content_id: str) -> dict[str, str]:
    momsflow.track(event="Article Viewed", properties={"content_id": content_id})
    return {"content_id": content_id}


@app.post("/orders/{user_id}")
def order(user_id: str) -> dict[str, bool]:
    """In a thread of the pool, which sees the request's context too."""
    return {"taken": momsflow.track(user_id, "Order Completed", {"total": 9.5})}


@app.post("/flush")
async def flush() -> dict[str, bool]:
    return {"flushed": await momsflow.aflush()}
