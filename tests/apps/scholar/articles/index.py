"""The articles' search index, in Elasticsearch over plain HTTP."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from django.conf import settings

INDEX = "articles"
MAPPING = {"mappings": {"properties": {"title": {"type": "text"}, "text": {"type": "text"}}}}


def _call(method, path, body=None):
    request = Request(
        f"{settings.ELASTICSEARCH_URL}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def ensure():
    try:
        _call("PUT", INDEX, MAPPING)
    except HTTPError as error:
        if error.code != 400 or "resource_already_exists" not in error.read().decode():
            raise


def put(article):
    ensure()
    _call("PUT", f"{INDEX}/_doc/{article.pk}?refresh=true", {"title": article.title, "text": article.text})


def search(words):
    """The numbers of the articles that match, best first."""
    query = {"query": {"multi_match": {"query": words, "fields": ["title^2", "text"]}}}
    try:
        found = _call("POST", f"{INDEX}/_search", query)
    except HTTPError as error:
        if error.code == 404:
            return []
        raise
    return [int(hit["_id"]) for hit in found["hits"]["hits"]]
