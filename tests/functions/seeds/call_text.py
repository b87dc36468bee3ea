@isolated(serve=True)
def call_text(text):
    return text
