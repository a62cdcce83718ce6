# The operator's image, which also carries the kernel program as payload for the serving pods.
#
# BASE_IMAGE: any image with Python >= 3.11 as python3 and its venv module. `python -m localkube images operator`
# makes one from Debian packages; with a registry at hand, name one of your own.
# Optional build secrets: pip-conf (an index of your own), ca (a certificate bundle for it).
ARG BASE_IMAGE

FROM ${BASE_IMAGE} AS builder
# Two environments: pip's own stays behind, so that the final one holds the operator's dependencies and nothing else.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/hipbmm/venv
COPY requirements/operator.txt /build/operator.txt
# Unchecked byte code: the file system is read-only at run time, and file times are not to be trusted across builders.
RUN --mount=type=secret,id=pip-conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/ca.pem \
    if [ -s /run/ca.pem ]; then export PIP_CERT=/run/ca.pem; fi; \
    /opt/pip/bin/pip --python /opt/hipbmm/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-compile --only-binary :all: --require-hashes --requirement /build/operator.txt && \
    /opt/hipbmm/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/hipbmm/venv/lib
COPY operator/hipbmm_operator /opt/hipbmm/app/hipbmm_operator
COPY kernel/hipbmm_kernel /opt/hipbmm/app/hipbmm_kernel
RUN /opt/hipbmm/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/hipbmm/app && \
    PYTHONPATH=/opt/hipbmm/app /opt/hipbmm/venv/bin/python -m hipbmm_kernel payload --zip /opt/hipbmm/app/hipbmm_kernel.zip

FROM ${BASE_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="hipbmm-operator" \
      org.opencontainers.image.description="Kubernetes operator for vLLM on AMD MI3xx with GEMMs tuned before the first request" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY LICENSE /licenses/LICENSE
COPY --from=builder /opt/hipbmm/venv /opt/hipbmm/venv
COPY --from=builder /opt/hipbmm/app /opt/hipbmm/app
ENV PATH=/opt/hipbmm/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/hipbmm/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["python", "-m", "hipbmm_operator"]
CMD ["run"]
