package client_test

import (
	"crypto/tls"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
)

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
		"dial timeout":         {func(c *client.Config) { c.DialTimeout = -time.Second }, []string{"DialTimeout", "-1s"}},
		"keepalive time":       {func(c *client.Config) { c.DialKeepAliveTime = time.Second }, []string{"DialKeepAliveTime", "1s", "10s"}},
		"keepalive timeout":    {func(c *client.Config) { c.DialKeepAliveTimeout = -1 }, []string{"DialKeepAliveTimeout"}},
		"send size":            {func(c *client.Config) { c.MaxCallSendMsgSize = -1 }, []string{"MaxCallSendMsgSize", "-1"}},
		"receive size":         {func(c *client.Config) { c.MaxCallRecvMsgSize = -2 }, []string{"MaxCallRecvMsgSize", "-2"}},
		"receive below send":   {func(c *client.Config) { c.MaxCallRecvMsgSize = 100 }, []string{"MaxCallRecvMsgSize", "MaxCallSendMsgSize"}},
		"send beyond receive":  {func(c *client.Config) { c.MaxCallSendMsgSize = math.MaxInt32; c.MaxCallRecvMsgSize = 1 }, []string{"MaxCallRecvMsgSize"}},
		"protocols":            {func(c *client.Config) { c.TLS = &tls.Config{NextProtos: []string{"h3"}} }, []string{"NextProtos", "h3"}},
		"plain with TLS":       {func(c *client.Config) { c.TLS = &tls.Config{}; c.Endpoints = []string{"http://a"} }, []string{"http://a", "TLS"}},
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
