// Package yaml mirrors go.etcd.io/etcd/client/v3/yaml: it reads a client's
// configuration from a file.
//
//	endpoints: [https://10.0.0.1:2379, https://10.0.0.2:2379]
//	dial-timeout: 5s
//	cert-file: /etc/etcd/client.crt
//	key-file: /etc/etcd/client.key
//	trusted-ca-file: /etc/etcd/ca.crt
//
// It supports the part of YAML that such a file needs: keys with scalars and
// lists of scalars. Anything else is an error. Durations are numbers of
// nanoseconds, as in clientv3, or strings such as "5s". Unknown keys are ignored,
// as in clientv3.
package yaml

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getcd/getcd/clientv3"
)

// file has the settings that are not fields of a Config.
type file struct {
	clientv3.Config

	insecureTransport, skipVerify bool

	cert, key, trustedCA, ca string
}

// fields maps the keys, in lower case, to the variables for their values.
func (f *file) fields() map[string]any {
	return map[string]any{
		"endpoints":                &f.Endpoints,
		"auto-sync-interval":       &f.AutoSyncInterval,
		"dial-timeout":             &f.DialTimeout,
		"dial-keep-alive-time":     &f.DialKeepAliveTime,
		"dial-keep-alive-timeout":  &f.DialKeepAliveTimeout,
		"maxcallsendmsgsize":       &f.MaxCallSendMsgSize,
		"maxcallrecvmsgsize":       &f.MaxCallRecvMsgSize,
		"username":                 &f.Username,
		"password":                 &f.Password,
		"token":                    &f.Token,
		"reject-old-cluster":       &f.RejectOldCluster,
		"permit-without-stream":    &f.PermitWithoutStream,
		"max-unary-retries":        &f.MaxUnaryRetries,
		"backoff-wait-between":     &f.BackoffWaitBetween,
		"backoff-jitter-fraction":  &f.BackoffJitterFraction,
		"insecure-transport":       &f.insecureTransport,
		"insecure-skip-tls-verify": &f.skipVerify,
		"cert-file":                &f.cert,
		"key-file":                 &f.key,
		"trusted-ca-file":          &f.trustedCA,
		"ca-file":                  &f.ca,
	}
}

// NewConfig reads the configuration in a file. The client uses TLS unless
// insecure-transport is set. The error names the file, and the line or the key
// that is wrong.
func NewConfig(fpath string) (*clientv3.Config, error) {
	text, err := os.ReadFile(fpath)
	if err != nil {
		return nil, err
	}
	f := &file{}
	err = f.read(string(text))
	if err == nil {
		f.TLS, err = f.tls()
	}
	if err != nil {
		return nil, fmt.Errorf("clientv3/yaml: %s: %w", fpath, err)
	}
	return &f.Config, nil
}

func (f *file) read(text string) error {
	values, err := parse(text)
	if err != nil {
		return err
	}
	fields := f.fields()
	for key, v := range values {
		into, known := fields[strings.ToLower(key)]
		if !known || v.null {
			continue
		}
		if err := v.set(into); err != nil {
			return fmt.Errorf("line %d: %s: %w", v.line, key, err)
		}
	}
	return nil
}

// set stores the value in a field.
func (v value) set(into any) error {
	if list, ok := into.(*[]string); ok {
		if v.list == nil {
			return fmt.Errorf("it is %q: write a list, such as [%s]", v.text, v.text)
		}
		*list = slices.Clone(v.list)
		return nil
	}
	if v.list != nil {
		return fmt.Errorf("it is a list, but must not be one")
	}
	var err error
	switch into := into.(type) {
	case *string:
		*into = v.text
	case *bool:
		*into, err = truth(v.text)
	case *int:
		*into, err = strconv.Atoi(v.text)
	case *uint:
		var n uint64
		n, err = strconv.ParseUint(v.text, 10, strconv.IntSize)
		*into = uint(n)
	case *float64:
		*into, err = strconv.ParseFloat(v.text, 64)
	case *time.Duration:
		var n int64
		if n, err = strconv.ParseInt(v.text, 10, 64); err == nil {
			*into = time.Duration(n)
		} else if d, durationErr := time.ParseDuration(v.text); durationErr == nil {
			*into, err = d, nil
		}
	}
	if err != nil {
		return fmt.Errorf("it is %q: %w", v.text, err)
	}
	return nil
}

// truth parses a YAML boolean, including the other words of YAML 1.1.
func truth(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "y":
		return true, nil
	case "false", "no", "off", "n":
		return false, nil
	}
	return false, fmt.Errorf("write true or false")
}

// tls returns nil if insecure-transport is set.
func (f *file) tls() (*tls.Config, error) {
	if f.insecureTransport {
		return nil, nil //nolint:nilnil // none is an answer
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.skipVerify} //nolint:gosec // as configured
	if f.cert != "" && f.key != "" {
		c, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("cert-file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{c}
	}
	if f.trustedCA != "" {
		pem, err := os.ReadFile(f.trustedCA)
		if err != nil {
			return nil, fmt.Errorf("trusted-ca-file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("trusted-ca-file: %s has no certificate", f.trustedCA)
		}
	}
	return cfg, nil
}
