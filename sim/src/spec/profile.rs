//! Metric profiles that the world can show itself by, each under the names, types and labels of an exporter in use.

/// A metric profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Client libraries of Prometheus; what every process shows, asked for or not.
    Prometheus,
    /// OpenTelemetry's semantic conventions for HTTP and connection pools, as its exporter to Prometheus writes them.
    OpenTelemetry,
    /// Micrometer with Spring Boot, HikariCP and Tomcat.
    Micrometer,
    /// Istio's standard metrics, of the sidecars of callers and of services.
    Istio,
    /// Envoy's statistics of clusters and of what comes in.
    Envoy,
    /// Linkerd's proxies, of callers and of services.
    Linkerd,
    /// The exporter beside a Redis.
    Redis,
    /// kube-state-metrics, beyond what is always there.
    KubeStateMetrics,
    /// cAdvisor in the kubelet, beyond what is always there.
    Cadvisor,
    /// Prometheus' node exporter, of each node.
    NodeExporter,
}

impl Profile {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Prometheus,
        Self::OpenTelemetry,
        Self::Micrometer,
        Self::Istio,
        Self::Envoy,
        Self::Linkerd,
        Self::Redis,
        Self::KubeStateMetrics,
        Self::Cadvisor,
        Self::NodeExporter,
    ];

    /// The word for it in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::OpenTelemetry => "opentelemetry",
            Self::Micrometer => "micrometer",
            Self::Istio => "istio",
            Self::Envoy => "envoy",
            Self::Linkerd => "linkerd",
            Self::Redis => "redis-exporter",
            Self::KubeStateMetrics => "kube-state-metrics",
            Self::Cadvisor => "cadvisor",
            Self::NodeExporter => "node-exporter",
        }
    }

    /// Whether it is one of the cluster, and not of processes.
    #[must_use]
    pub const fn is_of_cluster(self) -> bool {
        matches!(self, Self::KubeStateMetrics | Self::Cadvisor | Self::NodeExporter)
    }

    /// Whether it tells what callers made of each attempt, which is counted for it alone.
    #[must_use]
    pub const fn tells_traffic(self) -> bool {
        matches!(self, Self::OpenTelemetry | Self::Micrometer | Self::Istio | Self::Envoy | Self::Linkerd)
    }
}
