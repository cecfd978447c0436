package config

import (
	"slices"
	"strings"

	"github.com/getcd/getcd/client"
)

// settings are what the sources have set.
type settings struct {
	client.Config

	serverName              string
	skipVerify, plain       bool
	passwordFile, tokenFile string

	from map[string]place // where each option was set, by its key
	errs []error
}

// option is one setting.
type option struct {
	// key is its name in files. In upper case, and with GETCD_, it is a variable.
	key string
	// old is another name in files, clientv3's.
	old string
	// etcdctl is its variable, without ETCDCTL_.
	etcdctl string
	// at is where its value is stored. Nil means that it sets nothing.
	at func(*settings) any
	// not are the keys of options that it replaces in sources before its own.
	not []string
}

// options has a line for each setting. A new field of client.Config needs one here and one
// in doc.go, or a place in code; a test says so.
var options = []option{
	{key: "endpoints", etcdctl: "ENDPOINTS", at: func(s *settings) any { return &s.Endpoints }},
	{key: "auto-sync-interval", at: func(s *settings) any { return &s.AutoSyncInterval }},
	{key: "namespace", at: func(s *settings) any { return &s.Namespace }},

	{key: "username", etcdctl: "USER", at: func(s *settings) any { return &s.Username }, not: []string{"token", "token-file"}},
	{key: "password", etcdctl: "PASSWORD", at: func(s *settings) any { return &s.Password }, not: []string{"password-file", "token", "token-file"}},
	{key: "password-file", at: func(s *settings) any { return &s.passwordFile }, not: []string{"password", "token", "token-file"}},
	{key: "token", etcdctl: "AUTH_JWT_TOKEN", at: func(s *settings) any { return &s.Token }, not: []string{"token-file", "username", "password", "password-file"}},
	{key: "token-file", at: func(s *settings) any { return &s.tokenFile }, not: []string{"token", "username", "password", "password-file"}},

	{key: "cert-file", etcdctl: "CERT", at: func(s *settings) any { return &s.TLSFiles.Cert }},
	{key: "key-file", etcdctl: "KEY", at: func(s *settings) any { return &s.TLSFiles.Key }},
	{key: "trusted-ca-file", old: "ca-file", etcdctl: "CACERT", at: func(s *settings) any { return &s.TLSFiles.CA }},
	{key: "server-name", at: func(s *settings) any { return &s.serverName }},
	{key: "insecure-skip-tls-verify", etcdctl: "INSECURE_SKIP_TLS_VERIFY", at: func(s *settings) any { return &s.skipVerify }},
	{key: "insecure-transport", etcdctl: "INSECURE_TRANSPORT", at: func(s *settings) any { return &s.plain }},
	{key: "insecure-discovery", etcdctl: "INSECURE_DISCOVERY", at: func(s *settings) any { return &s.InsecureDiscovery }},
	{key: "no-proxy", at: func(s *settings) any { return &s.NoProxy }},
	{key: "headers", at: func(s *settings) any { return &s.Headers }},

	{key: "call-timeout", etcdctl: "COMMAND_TIMEOUT", at: func(s *settings) any { return &s.CallTimeout }},
	{key: "fail-fast", at: func(s *settings) any { return &s.FailFast }},
	{key: "connect-timeout", at: func(s *settings) any { return &s.ConnectTimeout }},
	{key: "dial-timeout", etcdctl: "DIAL_TIMEOUT", at: func(s *settings) any { return &s.DialTimeout }},
	{key: "dial-keep-alive-time", etcdctl: "KEEPALIVE_TIME", at: func(s *settings) any { return &s.DialKeepAliveTime }},
	{key: "dial-keep-alive-timeout", etcdctl: "KEEPALIVE_TIMEOUT", at: func(s *settings) any { return &s.DialKeepAliveTimeout }},
	{key: "permit-without-stream", at: func(s *settings) any { return &s.PermitWithoutStream }},
	{key: "max-call-send-msg-size", old: "maxcallsendmsgsize", etcdctl: "MAX_REQUEST_BYTES", at: func(s *settings) any { return &s.MaxCallSendMsgSize }},
	{key: "max-call-recv-msg-size", old: "maxcallrecvmsgsize", etcdctl: "MAX_RECV_BYTES", at: func(s *settings) any { return &s.MaxCallRecvMsgSize }},

	{key: "write-patience", at: func(s *settings) any { return &s.WritePatience }},
	{key: "heartbeat-interval", at: func(s *settings) any { return &s.HeartbeatInterval }},
	{key: "cluster-id", at: func(s *settings) any { return &s.ClusterID }},
	{key: "allow-cluster-change", at: func(s *settings) any { return &s.AllowClusterChange }},
	{key: "one-member", at: func(s *settings) any { return &s.OneMember }},
	{key: "routing-spread-reads", at: func(s *settings) any { return &s.Routing.SpreadReads }},
	{key: "routing-writes-to-leader", at: func(s *settings) any { return &s.Routing.WritesToLeader }},

	{key: "resolver-keep-order", at: func(s *settings) any { return &s.Resolver.KeepOrder }},
	{key: "resolver-verify-target-names", at: func(s *settings) any { return &s.Resolver.VerifyTargetNames }},
	{key: "resolver-only", at: func(s *settings) any { return &s.Resolver.Only }},
	{key: "resolver-min-ttl", at: func(s *settings) any { return &s.Resolver.MinTTL }},
	{key: "resolver-max-ttl", at: func(s *settings) any { return &s.Resolver.MaxTTL }},
	{key: "resolver-min-interval", at: func(s *settings) any { return &s.Resolver.MinInterval }},
	{key: "resolver-timeout", at: func(s *settings) any { return &s.Resolver.Timeout }},
	{key: "resolver-resolv-conf", at: func(s *settings) any { return &s.Resolver.ResolvConf }},
}

// clientv3s are keys of clientv3's files that package client has no field for.
var clientv3s = []option{
	{key: "max-unary-retries"},
	{key: "backoff-wait-between"},
	{key: "backoff-jitter-fraction"},
	{key: "reject-old-cluster", at: func(*settings) any { return missing("the client works with etcd 3.4 and later: leave it out") }},
}

// missing is the place of a setting that package client can't heed, with what to do.
type missing string

// code has the fields that have no text, by their names in lower case.
var code = map[string]string{
	"tls":               "set trusted-ca-file, cert-file, key-file or server-name, or Config.TLS in the program",
	"tlsfiles":          "set trusted-ca-file, cert-file and key-file",
	"credentials":       "set username and password-file, or Config.Credentials in the program",
	"tokensource":       "set token-file, or Config.TokenSource in the program",
	"routing":           "write routing-spread-reads or routing-writes-to-leader",
	"resolver":          "write resolver-keep-order, or another setting that begins with resolver-",
	"routing.prefer":    "set Config.Routing.Prefer in the program",
	"resolver.registry": "set Config.Resolver.Registry in the program",
	"middleware":        "set Config.Middleware in the program",
	"observers":         "set Config.Observers in the program",
	"logger":            "set Config.Logger in the program",
	"logconfig":         "set Config.Logger in the program", // clientv3's
	"trace":             "set Config.Trace in the program",
	"dialoptions":       "set Config.DialOptions in the program",
	"context":           "give each call its context", // clientv3's
}

// byKey finds the option for a key of a file.
func byKey(key string) (option, bool) {
	for _, o := range slices.Concat(options, clientv3s) {
		if o.key == key || o.old == key && key != "" {
			return o, true
		}
	}
	return option{}, false
}

// variable is the name of the option in the environment.
func (o option) variable() string {
	return "GETCD_" + strings.ToUpper(strings.ReplaceAll(o.key, "-", "_"))
}
