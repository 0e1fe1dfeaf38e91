# The server, on a CPU: docker build -t tfdeepfake . && docker run --rm -p 127.0.0.1:8501:8501 -v "$PWD/saved_models:/models:ro" tfdeepfake
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
# On ARM: docker build --platform linux/amd64, since tensorflow-cpu has no wheel there.
# tensorflow-cpu stands in for the tensorflow that setup.cfg asks for: never both.
RUN grep -Ev '^(apache-beam|mlcroissant|jax|jaxlib|pytest|pytest-xdist|httpx2|tf2onnx|onnx|onnxruntime|dill|ruff|import-linter|mkdocs|mkdocstrings.*|tensorboard)==' requirements.txt > pinned.txt \
    && python -m venv /opt/tfdeepfake \
    && /opt/tfdeepfake/bin/pip install --no-cache-dir --disable-pip-version-check -r pinned.txt \
    && /opt/tfdeepfake/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.12-slim
COPY --from=build /opt/tfdeepfake /opt/tfdeepfake
RUN useradd --uid 10001 --no-create-home server && mkdir -p /cache /models && chown server /cache
ENV PATH=/opt/tfdeepfake/bin:$PATH TFDEEPFAKE_HOME=/cache PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8501 8500
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/healthz', timeout=4)"]
# Exec form: SIGTERM reaches the server, which finishes what it judges.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tfdeepfake", "serve"]
CMD ["/models/demo", "--host", "0.0.0.0"]
