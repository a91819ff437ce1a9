from urllib.error import URLError

from django.core.cache import cache
from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render

from . import index as search_index
from .forms import ArticleForm
from .models import Article
from .tasks import LAST_BEAT, index_article

COUNT = "article-count"


def index(request):
    articles = Article.objects.all()[:50]
    count = cache.get_or_set(COUNT, Article.objects.count, timeout=60)
    return render(request, "articles/index.html", {"articles": articles, "count": count})


def add(request):
    form = ArticleForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        # ?later leaves the article to beat.
        later = "later" in request.GET
        with transaction.atomic():
            article = form.save()
            if not later:
                transaction.on_commit(lambda: index_article.delay(article.pk))
        cache.delete(COUNT)
        return redirect("show", number=article.pk)
    return render(request, "articles/add.html", {"form": form})


def show(request, number):
    return render(request, "articles/show.html", {"article": get_object_or_404(Article, pk=number)})


def search(request):
    words = request.GET.get("q", "")
    articles, error = [], None
    if words:
        try:
            numbers = search_index.search(words)
        except URLError as cause:
            error = f"The search does not answer: {cause}"
        else:
            found = Article.objects.in_bulk(numbers)
            articles = [found[number] for number in numbers if number in found]
    status = 503 if error else 200
    return render(
        request, "articles/search.html", {"words": words, "articles": articles, "error": error}, status=status
    )


def status(request):
    return JsonResponse(
        {
            "articles": Article.objects.count(),
            "indexed": Article.objects.filter(indexed=True).count(),
            "last_beat": cache.get(LAST_BEAT),
        }
    )
