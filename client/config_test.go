package client_test

import (
	"context"
	"crypto/tls"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver/manual"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

func header(name, value string) func(*client.Config) {
	return func(c *client.Config) { c.Headers = map[string]string{name: value} }
}

func dialOptions(opts ...grpc.DialOption) func(*client.Config) {
	return func(c *client.Config) { c.DialOptions = opts }
}

// bundle is for grpc.WithCredentialsBundle.
type bundle struct{}

func (bundle) TransportCredentials() credentials.TransportCredentials {
	return insecure.NewCredentials()
}
func (bundle) PerRPCCredentials() credentials.PerRPCCredentials { return nil }
func (b bundle) NewWithMode(string) (credentials.Bundle, error) { return b, nil }

// Options that are the user's to choose are no reason to complain.
func TestGoodDialOptions(t *testing.T) {
	c, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:1"}, DialOptions: []grpc.DialOption{
		grpc.WithUserAgent("mine"), grpc.WithAuthority("mine"), grpc.WithNoProxy(),
		grpc.WithResolvers(manual.NewBuilderWithScheme("mine")),
		grpc.WithPerRPCCredentials(perRPC{}),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(time.Second),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// perRPC needs TLS.
type perRPC struct{}

func (perRPC) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}
func (perRPC) RequireTransportSecurity() bool { return true }

func TestBadConfig(t *testing.T) {
	valid := client.Config{Endpoints: []string{"127.0.0.1:2379"}}
	for name, c := range map[string]struct {
		set  func(*client.Config)
		want []string // what the error names
	}{
		"no endpoints":         {func(c *client.Config) { c.Endpoints = nil }, []string{"Endpoints", "dns+srv://"}},
		"unknown scheme":       {func(c *client.Config) { c.Endpoints = []string{"ftp://a"} }, []string{"ftp://a", "https"}},
		"mixed":                {func(c *client.Config) { c.Endpoints = []string{"http://a", "https://b"} }, []string{"http"}},
		"bad port":             {func(c *client.Config) { c.Endpoints = []string{"a:99999"} }, []string{"a:99999", "65535"}},
		"token and user":       {func(c *client.Config) { c.Token, c.Username, c.Password = "t", "u", "p" }, []string{"Token", "Username"}},
		"password alone":       {func(c *client.Config) { c.Password = "secret" }, []string{"Password", "Username"}},
		"user alone":           {func(c *client.Config) { c.Username = "u" }, []string{"Username", "Password", `"u"`}},
		"token with a newline": {func(c *client.Config) { c.Token = "secret\n" }, []string{"Token", "6"}},
		"pings that are off":   {func(c *client.Config) { c.PermitWithoutStream, c.DialKeepAliveTime = true, -1 }, []string{"PermitWithoutStream", "DialKeepAliveTime"}},
		"call timeout":         {func(c *client.Config) { c.CallTimeout = -time.Second }, []string{"CallTimeout", "-1s"}},
		"connect timeout":      {func(c *client.Config) { c.ConnectTimeout = -time.Second }, []string{"ConnectTimeout", "-1s", "5s"}},
		"sync interval":        {func(c *client.Config) { c.AutoSyncInterval = -time.Second }, []string{"AutoSyncInterval", "-1s"}},
		"token as a header":    {header("Token", "secret"), []string{"Headers", `"Token"`, "Config.Token"}},
		"gRPC's header":        {header("grpc-timeout", "1S"), []string{"Headers", `"grpc-timeout"`}},
		"bad header name":      {header("a b", "x"), []string{"Headers", `"a b"`}},
		"bad header value":     {header("a", "secret\n"), []string{"Headers", `"a"`, "6"}},
		"header twice":         {func(c *client.Config) { c.Headers = map[string]string{"a": "", "A": ""} }, []string{"Headers", `"a"`, `"A"`}},
		"dial timeout":         {func(c *client.Config) { c.DialTimeout = -time.Second }, []string{"DialTimeout", "-1s"}},
		"keepalive time":       {func(c *client.Config) { c.DialKeepAliveTime = time.Second }, []string{"DialKeepAliveTime", "1s", "10s"}},
		"keepalive timeout":    {func(c *client.Config) { c.DialKeepAliveTimeout = -1 }, []string{"DialKeepAliveTimeout"}},
		"one member of two":    {func(c *client.Config) { c.OneMember = true; c.Endpoints = []string{"a:1", "b:1"} }, []string{"OneMember", "2 endpoints"}},
		"send size":            {func(c *client.Config) { c.MaxCallSendMsgSize = -1 }, []string{"MaxCallSendMsgSize", "-1"}},
		"receive size":         {func(c *client.Config) { c.MaxCallRecvMsgSize = -2 }, []string{"MaxCallRecvMsgSize", "-2"}},
		"receive below send":   {func(c *client.Config) { c.MaxCallRecvMsgSize = 100 }, []string{"MaxCallRecvMsgSize", "MaxCallSendMsgSize"}},
		"send beyond receive":  {func(c *client.Config) { c.MaxCallSendMsgSize = math.MaxInt32; c.MaxCallRecvMsgSize = 1 }, []string{"MaxCallRecvMsgSize"}},
		"protocols":            {func(c *client.Config) { c.TLS = &tls.Config{NextProtos: []string{"h3"}} }, []string{"NextProtos", "h3"}},
		"plain with TLS":       {func(c *client.Config) { c.TLS = &tls.Config{}; c.Endpoints = []string{"http://a"} }, []string{"http://a", "TLS"}},
		"nil option":           {dialOptions(nil), []string{"DialOptions[0]", "nil"}},
		"own credentials":      {dialOptions(grpc.WithTransportCredentials(insecure.NewCredentials())), []string{"DialOptions", "WithTransportCredentials", "Config.TLS"}},
		"credentials bundle":   {dialOptions(grpc.WithCredentialsBundle(bundle{})), []string{"DialOptions", "WithCredentialsBundle", "Config.TLS"}},
		"own resolver":         {dialOptions(grpc.WithResolvers(manual.NewBuilderWithScheme(resolver.Scheme))), []string{"DialOptions", "WithResolvers", resolver.Scheme}},
		"bad service config":   {dialOptions(grpc.WithDefaultServiceConfig("{")), []string{"DialOptions", "service config"}},
		"several":              {func(c *client.Config) { c.DialTimeout = -1; c.Password = "secret" }, []string{"DialTimeout", "Password"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := valid
			c.set(&cfg)
			cl, err := client.New(cfg)
			if err == nil {
				_ = cl.Close()
				t.Fatal("got no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}
