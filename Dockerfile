# The image of every Sojourn process: `sojourn api`, `sojourn worker`, `sojourn migrate`, by its command.

FROM python:3.13.16-slim-bookworm AS dependencies

COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > wanted.txt \
    && python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --only-binary=:all: --constraint constraints.txt --requirement wanted.txt


FROM python:3.13.16-slim-bookworm

# An empty PYTHONTZPATH leaves the pinned tzdata package as the only source of time zones: every process of a release reads the same.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONTZPATH= \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sojourn \
    && printf '#!/bin/sh\nexec python -m cli "$@"\n' > /usr/local/bin/sojourn \
    && chmod 755 /usr/local/bin/sojourn

COPY --from=dependencies /venv /venv

WORKDIR /app
COPY cli.py connecting.py loading.py settings.py worker.py ./
COPY activities ./activities
COPY api ./api
COPY backtest ./backtest
COPY commands ./commands
COPY deploy ./deploy
COPY engine ./engine
COPY events ./events
COPY insight ./insight
COPY journeys ./journeys
COPY store ./store
COPY studio ./studio
COPY workflows ./workflows
RUN python -m compileall -q /app

USER sojourn
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "deploy.answering", "http://127.0.0.1:8000/readyz"]
ENTRYPOINT ["sojourn"]
CMD ["api", "--host", "0.0.0.0"]
