from django.db import models


class Article(models.Model):
    title = models.CharField(max_length=200)
    text = models.TextField()
    attachment = models.FileField(upload_to="attachments/", blank=True)
    made = models.DateTimeField(auto_now_add=True)
    indexed = models.BooleanField(default=False)

    class Meta:
        ordering = ["-made"]

    def __str__(self):
        return self.title
