from django.contrib.auth import get_user_model, login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy

import momsflow
from momsflow.integrations.django import track_on_commit


def article(request: HttpRequest, content_id: str) -> HttpResponse:
    # Lazy translations are text for the SDK.
    momsflow.track(event="Article Viewed", properties={"content_id": content_id, "section": gettext_lazy("News")})
    return render(request, "article.html", {"content_id": content_id})


async def article_async(request: HttpRequest, content_id: str) -> HttpResponse:
    momsflow.track(event="Article Viewed", properties={"content_id": content_id})
    return HttpResponse("ok")


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = get_user_model().objects.get_or_create(username=name)
    login(request, user)
    # The middleware knows the user from here on, and the cookie of the pixel: the server can join the two.
    momsflow.identify(traits={"name": name})
    return HttpResponse(str(user.pk))


def order(request: HttpRequest, number: int, outcome: str) -> HttpResponse:
    properties = {"number": number, "state": "new"}
    try:
        with transaction.atomic():
            track_on_commit("u-1", "Order Completed", properties)
            properties["state"] = "changed later"
            if outcome == "fails":
                raise RuntimeError
    except RuntimeError:
        return HttpResponse("rolled back")
    return HttpResponse("committed")
