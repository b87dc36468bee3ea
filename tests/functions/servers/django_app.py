from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["django"], exposed_port=PORT)
def serve():
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.http import HttpResponse
    from django.urls import path

    urls = (path("", lambda request: HttpResponse(TAG)),)
    settings.configure(DEBUG=True, ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="x")
    where = f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}"
    execute_from_command_line(["manage.py", "runserver", where])
