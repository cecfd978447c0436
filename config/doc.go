// Package config makes a client.Config of a YAML file and of the environment.
//
//	cfg, err := config.Load("/etc/etcd/client.yaml") // "" means the environment alone
//	...
//	c, err := client.New(cfg)
//
// The file has settings and nothing else:
//
//	endpoints: [https://10.0.0.1:2379, https://10.0.0.2:2379]
//	trusted-ca-file: /etc/etcd/ca.crt
//	username: app
//	password-file: /run/secrets/etcd-password
//	dial-timeout: 5s
//
// What the environment sets replaces what the file sets, and the program may change the
// result. No setting is left out silently: a key that does not exist is an error, which names
// the nearest one that does, and so is a value that can't be right. All errors come at once,
// each with its file, line and key. What does not fit together is an error of client.New.
//
// # Settings
//
// A setting has the name of its field of client.Config, which has its documentation, in lower
// case and with hyphens: dial-timeout is DialTimeout, and resolver-keep-order is
// Resolver.KeepOrder. In the environment it is GETCD_DIAL_TIMEOUT, or what etcdctl calls it. A
// value is text, a number, true or false, a duration as Go writes it (500ms, 1m30s), or a list,
// which may also be written as "a,b". An empty variable, or null in the file, sets nothing.
//
//	file                          client.Config                 etcdctl
//	endpoints                     Endpoints                     ETCDCTL_ENDPOINTS
//	auto-sync-interval            AutoSyncInterval
//	namespace                     Namespace
//	username, password            Username, Password            ETCDCTL_USER, ETCDCTL_PASSWORD
//	password-file                 Credentials
//	token                         Token                         ETCDCTL_AUTH_JWT_TOKEN
//	token-file                    TokenSource
//	cert-file, key-file           TLSFiles.Cert, TLSFiles.Key   ETCDCTL_CERT, ETCDCTL_KEY
//	trusted-ca-file               TLSFiles.CA                   ETCDCTL_CACERT
//	server-name                   TLS.ServerName
//	insecure-skip-tls-verify      TLS.InsecureSkipVerify        ETCDCTL_INSECURE_SKIP_TLS_VERIFY
//	insecure-transport            see below                     ETCDCTL_INSECURE_TRANSPORT
//	insecure-discovery            InsecureDiscovery             ETCDCTL_INSECURE_DISCOVERY
//	no-proxy                      NoProxy
//	headers                       Headers, a mapping, or "name=value,name=value"
//	call-timeout                  CallTimeout                   ETCDCTL_COMMAND_TIMEOUT
//	fail-fast                     FailFast
//	connect-timeout               ConnectTimeout
//	dial-timeout                  DialTimeout                   ETCDCTL_DIAL_TIMEOUT
//	dial-keep-alive-time          DialKeepAliveTime             ETCDCTL_KEEPALIVE_TIME
//	dial-keep-alive-timeout       DialKeepAliveTimeout          ETCDCTL_KEEPALIVE_TIMEOUT
//	permit-without-stream         PermitWithoutStream
//	max-call-send-msg-size        MaxCallSendMsgSize            ETCDCTL_MAX_REQUEST_BYTES
//	max-call-recv-msg-size        MaxCallRecvMsgSize            ETCDCTL_MAX_RECV_BYTES
//	write-patience                WritePatience
//	heartbeat-interval            HeartbeatInterval
//	cluster-id                    ClusterID, such as 0xcdf818194e3a8c32
//	allow-cluster-change          AllowClusterChange
//	one-member                    OneMember
//	routing-spread-reads          Routing.SpreadReads
//	routing-writes-to-leader      Routing.WritesToLeader
//	resolver-keep-order           Resolver.KeepOrder
//	resolver-verify-target-names  Resolver.VerifyTargetNames
//	resolver-only                 Resolver.Only
//	resolver-min-ttl              Resolver.MinTTL
//	resolver-max-ttl              Resolver.MaxTTL
//	resolver-min-interval         Resolver.MinInterval
//	resolver-timeout              Resolver.Timeout
//	resolver-resolv-conf          Resolver.ResolvConf
//
// The files of password-file and token-file have the secret alone, perhaps with a line break
// at its end. They are read at each login, so they may be changed while the client lives. So
// may the files for TLS, which are read for each connection.
//
// A dial-keep-alive-time below 10 s, gRPC's least, means 10 s, as in clientv3.
//
// # TLS
//
// A file for TLS, a server-name, insecure-skip-tls-verify or "insecure-transport: false" make
// all connections use TLS. Otherwise the endpoints decide: https:// uses TLS. With
// "insecure-transport: true" none of these may be set.
//
// A password or a token, and an endpoint of the file that does not say whether it uses TLS
// ("10.0.0.1:2379"), is an error: clientv3's files mean TLS by that, and client.Config does not.
//
// # Files of clientv3
//
// Files for go.etcd.io/etcd/client/v3/yaml can be read. ca-file, which clientv3 ignores, is
// trusted-ca-file. max-unary-retries, backoff-wait-between and backoff-jitter-fraction set
// nothing, since package client has rules of its own. "reject-old-cluster: true" is an error. Numbers of
// nanoseconds are durations.
//
// # The environment
//
// GETCD_ variables replace ETCDCTL_ ones, and both replace the file's settings. A user with a
// password replaces a token, and the reverse. ETCDCTL_USER may be "name:password". ETCDCTL_DISCOVERY_SRV,
// with ETCDCTL_DISCOVERY_SRV_NAME, is the endpoint dns+srv:///domain; unlike etcdctl, the
// client then checks the members' certificates for that domain, and sends no password or token
// on a plain connection that DNS alone chose (insecure-discovery). ETCDCTL_INSECURE_TRANSPORT=true
// is etcdctl's default, and sets nothing. What is about etcdctl's output, such as ETCDCTL_API and
// ETCDCTL_WRITE_OUT, is ignored.
//
// An unknown GETCD_ variable is an error, unless it is one of Kubernetes' for a service called
// getcd, or one of getcd's own tests. An unknown ETCDCTL_ variable is an error if it is nearly a
// known one that is not set (ETCDCTL_ENDPOINT, ETCDCTL_CA_FILE).
package config
