import pymysql

from .celery import app as celery_app

# PyMySQL answers to the name of the driver that Django asks for.
pymysql.install_as_MySQLdb()

__all__ = ("celery_app",)
