from django.urls import path

from articles import views

urlpatterns = [
    path("", views.index, name="index"),
    path("articles/add/", views.add, name="add"),
    path("articles/<int:number>/", views.show, name="show"),
    path("search/", views.search, name="search"),
    path("status/", views.status, name="status"),
]
