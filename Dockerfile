# docker build -t geventchat . && docker run -p 4040:4040 -p 8040:8040 -v geventchat:/data geventchat

FROM python:3.13-slim AS built
WORKDIR /source
RUN python -m venv /opt/geventchat
COPY requirements.txt .
RUN /opt/geventchat/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN /opt/geventchat/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
COPY --from=built /opt/geventchat /opt/geventchat
RUN useradd --uid 4040 --home-dir /data --no-create-home --shell /usr/sbin/nologin geventchat \
    && install --directory --owner geventchat --mode 0700 /data
USER 4040
# The database's default place is the working directory.
WORKDIR /data
VOLUME /data
ENV PATH=/opt/geventchat/bin:$PATH \
    GEVENTCHAT_HOST=0.0.0.0 \
    GEVENTCHAT_WEB=0.0.0.0:8040 \
    GEVENTCHAT_ADMIN=127.0.0.1:4041 \
    GEVENTCHAT_DRAIN_SECONDS=8
# `docker stop` kills after 10 seconds. The admin port is for the container itself: it knows no
# password; another GEVENTCHAT_ADMIN lets Prometheus in, and has to keep the port.
EXPOSE 4040 8040
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "from http.client import HTTPConnection; admin = HTTPConnection('127.0.0.1', 4041, timeout=2); admin.request('GET', '/healthz'); raise SystemExit(admin.getresponse().status != 200)"]
ENTRYPOINT ["geventchat"]
CMD ["serve"]
