# exporter-host with the standard examples, from nothing but plain Debian and this repository.
#
#   docker build -t exporter-host .
#   docker run --rm -p 9435:9435 --read-only --cap-drop ALL --cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined exporter-host
#
# The image has no shell and runs as user 65532. It needs both capabilities and nothing else for tp_btf, raw_tp and perf_event programs, and
# for uprobes from Linux 6.6 on. Your own units: -v /etc/my-units:/conf:ro, and --config.dir=/conf behind the image's name
# (with --plugin.cache-dir=/var/cache/exporter-host, for a faster start).
#
# | for                                   | add                                                                                    |
# |---------------------------------------|----------------------------------------------------------------------------------------|
# | any BPF at all                        | --cap-add BPF --cap-add PERFMON; a seccomp profile that then allows bpf and             |
# |                                       | perf_event_open (newer runtimes' own do), or --security-opt seccomp=unconfined: the     |
# |                                       | host sets a filter of its own                                                          |
# | tracepoint/… programs                 | --cap-add DAC_READ_SEARCH -v /sys/kernel/tracing:/sys/kernel/tracing:ro                 |
# | kernel symbols (ksym, kstack, kaddrs) | --cap-add SYSLOG; it is dropped once they are open                                     |
# | XDP, tc, cgroup programs              | --cap-add NET_ADMIN, --network host for the machine's interfaces                       |
# | interface names of the machine        | --network host                                                                         |
# | cgroup paths of the machine           | -v /sys/fs/cgroup:/sys/fs/cgroup:ro --cgroupns host                                     |
# | uprobes in the machine's programs     | -v /usr:/usr/…:ro at the path that the section names; on Linux before 6.6 SYS_ADMIN     |
# | programs that filter by process id    | --pid host                                                                             |
# | maps before Linux 5.11                | --cap-add SYS_RESOURCE, or --ulimit memlock=-1                                         |
# | plugins of your own, compiled once    | a volume for /var/cache/exporter-host; the standard ones are compiled in the image      |
# | collectors only                       | nothing                                                                                |
#
# What is missing: docker run … exporter-host doctor

FROM docker.io/library/debian:bookworm-slim AS build
# A directory of the build context with exporter-host and conf.d, to make an image of what was built elsewhere. Empty: all is built here.
ARG PREBUILT=
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update -q && apt-get install -qq -y --no-install-recommends bash ca-certificates libcap2-bin libelf1 pci.ids zlib1g
WORKDIR /src
# The tools before the sources: they change less often.
COPY tests/setup.sh tests/setup.sh
RUN [ -n "$PREBUILT" ] || bash -euc '. tests/setup.sh; setup_build'
COPY . .
RUN if [ -n "$PREBUILT" ]; then \
        mkdir -p target/release && cp "$PREBUILT/exporter-host" target/release/ && cp -r "$PREBUILT/conf.d" target/conf.d; \
    else \
        examples/run.sh --build; \
    fi
RUN tests/image-root.sh /root-of-image

FROM scratch
COPY --from=build /root-of-image /
USER 65532:65532
EXPOSE 9435
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/usr/bin/exporter-host", "healthcheck"]
ENTRYPOINT ["/usr/bin/exporter-host"]
CMD ["--config.dir=/etc/exporter-host/conf.d", "--plugin.cache-dir=/var/cache/exporter-host"]
