from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Article',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=200)),
                ('text', models.TextField()),
                ('attachment', models.FileField(blank=True, upload_to='attachments/')),
                ('made', models.DateTimeField(auto_now_add=True)),
                ('indexed', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['-made'],
            },
        ),
    ]
