package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/wire"
)

// globalFlags are the flags that every command has. Names and defaults are
// etcdctl's.
type globalFlags struct {
	endpoints        []string
	discoverySRV     string
	discoverySRVName string

	insecureTransport  bool
	insecureDiscovery  bool
	insecureSkipVerify bool
	cert, key, cacert  string

	user, password, token string

	dialTimeout      time.Duration
	commandTimeout   time.Duration
	keepAliveTime    time.Duration
	keepAliveTimeout time.Duration
	maxRequestBytes  int
	maxRecvBytes     int

	writeOut string
	hex      bool
	debug    bool

	trace        string
	traceSecrets bool
	traceHide    []string
	tracer       *wire.Tracer // made of the three, once for all clients; nil without --trace
}

func (f *globalFlags) register(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "where the members are: host:port, http(s)://…, unix:…, dns:…, dns+srv:… or gateway+http(s)://…, comma-separated")
	fs.StringVarP(&f.discoverySRV, "discovery-srv", "d", "", "domain whose SRV records say where the members are; takes the place of --endpoints")
	fs.StringVar(&f.discoverySRVName, "discovery-srv-name", "", "suffix of the service name to ask for with --discovery-srv")

	fs.BoolVar(&f.insecureTransport, "insecure-transport", true, "talk without TLS unless an endpoint or another flag asks for it")
	fs.BoolVar(&f.insecureDiscovery, "insecure-discovery", true, "accept SRV records that lead to members without TLS")
	fs.BoolVar(&f.insecureSkipVerify, "insecure-skip-tls-verify", false, "do not check the members' certificates (for tests only: anybody can pose as a member)")
	fs.StringVar(&f.cert, "cert", "", "file with the TLS certificate to show to the members")
	fs.StringVar(&f.key, "key", "", "file with the private key of --cert")
	fs.StringVar(&f.cacert, "cacert", "", "file with the CA certificates to check the members against")

	fs.StringVar(&f.user, "user", "", "name[:password] to log in with; asks for the password when there is none")
	fs.StringVar(&f.password, "password", "", "password to log in with; --user is the name alone then")
	fs.StringVar(&f.token, "auth-jwt-token", "", "JWT to authenticate with, instead of --user and --password")

	fs.DurationVar(&f.dialTimeout, "dial-timeout", 2*time.Second, "time that a connection may take to come up")
	fs.DurationVar(&f.commandTimeout, "command-timeout", 5*time.Second, "time that a short command may take")
	fs.DurationVar(&f.keepAliveTime, "keepalive-time", 2*time.Second, "silence on a connection after which it is pinged")
	fs.DurationVar(&f.keepAliveTimeout, "keepalive-timeout", 6*time.Second, "time that a ping may take before the connection counts as lost")
	fs.IntVar(&f.maxRequestBytes, "max-request-bytes", 0, "largest request to send, in bytes; 0 means 2 MiB")
	fs.IntVar(&f.maxRecvBytes, "max-recv-bytes", 0, "largest response to accept, in bytes; 0 means no limit")

	fs.StringVarP(&f.writeOut, "write-out", "w", output.FormatSimple, "output format: "+strings.Join(output.Formats(), ", "))
	fs.BoolVar(&f.hex, "hex", false, "print byte strings in hexadecimal")
	fs.BoolVar(&f.debug, "debug", false, "log what the client does, and the flags, to stderr")

	fs.StringVar(&f.trace, "trace", "", "show on stderr what the connections carry, as "+formatNames())
	fs.Lookup("trace").NoOptDefVal = string(wire.Frames)
	fs.BoolVar(&f.traceSecrets, "trace-secrets", false, "show passwords, tokens and snapshots in the trace")
	fs.StringSliceVar(&f.traceHide, "trace-hide", nil, "prefixes of keys whose values are hidden in the trace, comma-separated")
}

// secret names the flags whose values are never shown.
func secret(flag string) bool {
	return flag == "user" || flag == "password" || flag == "auth-jwt-token"
}

// badValue says that value does not fit flag f, which the user knows as name.
func badValue(name, value string, f *pflag.Flag) error {
	if secret(f.Name) {
		value = "…"
	}
	want := map[string]string{
		"bool":     "true or false",
		"int":      "an integer",
		"int64":    "a 64-bit integer",
		"duration": "a duration such as 500ms, 2s or 1m30s",
		"uint":     "an integer that is not negative",

		"stringSlice": "values with commas between them",
	}[f.Value.Type()]
	if want == "" {
		want = "a " + f.Value.Type()
	}
	return fmt.Errorf("bad value %q for %s: want %s", value, name, want)
}
