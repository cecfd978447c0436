package frontproxy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is a program and its way of forwarding.
type Kind string

// The kinds. TCP modes forward bytes, so each connection has one server. In the
// other modes each request may go to another server.
const (
	HAProxyTCP Kind = "haproxy-tcp"
	HAProxyH2  Kind = "haproxy-h2"
	NginxTCP   Kind = "nginx-stream"
	NginxGRPC  Kind = "nginx-grpc"
	// NginxHTTP forwards HTTP/1.1, for etcd's JSON gateway.
	NginxHTTP Kind = "nginx-http"
)

// Kinds returns all kinds that forward gRPC.
func Kinds() []Kind { return []Kind{HAProxyTCP, HAProxyH2, NginxTCP, NginxGRPC} }

// Config says what to run.
type Config struct {
	Kind Kind
	// Targets are the servers, each as "host:port", which are used in turn.
	Targets []string
	// Idle is how long a connection or a request may be silent before it is
	// ended, in whole seconds. 0 means an hour.
	Idle time.Duration
	// Requests is the number of requests after which NginxGRPC ends a connection
	// with GOAWAY. 0 means nginx's default, 1,000.
	Requests int
	// Body is the maximum size in bytes of a request to NginxGRPC. 0 means no
	// limit.
	Body int
}

func (c Config) withDefaults() Config {
	if c.Idle == 0 {
		c.Idle = time.Hour
	}
	if c.Requests == 0 {
		c.Requests = 1000
	}
	return c
}

func (c Config) validate() error {
	if len(c.Targets) == 0 {
		return errors.New("frontproxy: Config.Targets is empty: name at least one host:port")
	}
	if c.Idle < 0 || c.Idle%time.Second != 0 {
		return fmt.Errorf("frontproxy: Config.Idle is %v: must be whole seconds, or 0 for an hour", c.Idle)
	}
	if c.Requests < 0 {
		return fmt.Errorf("frontproxy: Config.Requests is %d: must be positive, or 0 for 1000", c.Requests)
	}
	if c.Body < 0 {
		return fmt.Errorf("frontproxy: Config.Body is %d: must be positive, or 0 for no limit", c.Body)
	}
	return nil
}

// servers formats each target as a line. The format gets the index and the
// target.
func (c Config) servers(format string) string {
	var b strings.Builder
	for i, t := range c.Targets {
		fmt.Fprintf(&b, format+"\n", i, t)
	}
	return b.String()
}

func (c Config) haproxy(address string) string {
	mode, proto := "tcp", ""
	if c.Kind == HAProxyH2 {
		mode, proto = "http", " proto h2"
	}
	return fmt.Sprintf(`
defaults
	mode %[1]s
	timeout connect 1s
	timeout client %[4]ds
	timeout server %[4]ds
	retries 1
	option redispatch
frontend clients
	bind %[3]s%[2]s
	default_backend members
backend members
	balance roundrobin
	default-server check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
%[5]s`, mode, proto, address, int(c.Idle.Seconds()), c.servers("\tserver m%d %s"+proto))
}

// nginxHead keeps nginx in the foreground, in one process, and in its own
// directory.
const nginxHead = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
`

func (c Config) nginx(address, module string) string {
	servers := c.servers("\tserver %[2]s max_fails=1 fail_timeout=1s; # %[1]d")
	if c.Kind == NginxTCP {
		return fmt.Sprintf("load_module %s;", module) + nginxHead + fmt.Sprintf(`
stream {
	upstream members {
%s
	}
	server {
		listen %s;
		proxy_pass members;
		proxy_connect_timeout 1s;
		proxy_timeout %ds;
	}
}`, servers, address, int(c.Idle.Seconds()))
	}
	http2, module := " http2", "grpc"
	location := "grpc_pass grpc://members;"
	if c.Kind == NginxHTTP {
		http2, module = "", "proxy"
		location = "proxy_pass http://members; proxy_http_version 1.1; proxy_buffering off;"
	}
	return nginxHead + fmt.Sprintf(`
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream members {
%[1]s
	}
	server {
		listen %[2]s%[5]s;
		client_max_body_size %[8]d;
		keepalive_requests %[4]d;
		keepalive_timeout %[3]ds;
		client_body_timeout %[3]ds;
		location / {
			%[7]s
			%[6]s_connect_timeout 1s;
			%[6]s_read_timeout %[3]ds;
			%[6]s_send_timeout %[3]ds;
		}
	}
}`, servers, address, int(c.Idle.Seconds()), c.Requests, http2, module, location, c.Body)
}
