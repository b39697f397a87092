from django.urls import path

from . import views

urlpatterns = [
    path("articles/<str:content_id>", views.article),
    path("async/<str:content_id>", views.article_async),
    path("login/<str:name>", views.log_in),
    path("orders/<int:number>/<str:outcome>", views.order),
]
