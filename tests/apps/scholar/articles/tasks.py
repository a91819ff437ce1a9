import time

from celery import shared_task
from django.core.cache import cache

from . import index
from .models import Article

LAST_BEAT = "last-beat"


@shared_task(autoretry_for=(OSError,), retry_backoff=1, retry_backoff_max=10, max_retries=10)
def index_article(number):
    article = Article.objects.get(pk=number)
    index.put(article)
    Article.objects.filter(pk=number).update(indexed=True)


@shared_task
def index_missing():
    """Sent by beat: what an earlier task could not index."""
    cache.set(LAST_BEAT, time.time(), timeout=None)
    for number in Article.objects.filter(indexed=False).values_list("pk", flat=True):
        index_article.delay(number)
