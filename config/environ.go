package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// variables returns those with a prefix, without it. As for etcdctl, an empty one is not set.
func variables(environ []string, prefix string) map[string]string {
	out := make(map[string]string)
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if rest, ok := strings.CutPrefix(name, prefix); ok && text != "" {
			out[rest] = text
		}
	}
	return out
}

// sorted returns the names, so that errors have an order.
func sorted(vars map[string]string) []string {
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// readGetcd returns the values of GETCD_ variables.
func readGetcd(environ []string) (source, []error) {
	values := make(source)
	var errs []error
	vars := variables(environ, "GETCD_")
	for _, name := range sorted(vars) {
		at, key := variable("GETCD_"+name), strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		i := slices.IndexFunc(options, func(o option) bool { return o.key == key })
		if i >= 0 {
			values[key] = value{text: vars[name], at: at}
			continue
		}
		if ofOthers.MatchString(at.text) {
			continue
		}
		if near, ok := nearest(name, options); ok {
			errs = append(errs, at.errorf("no such setting; did you mean %s?", near.variable()))
		} else {
			errs = append(errs, at.errorf("no such setting: go doc github.com/getcd/getcd/config lists them"))
		}
	}
	return values, errs
}

// ofOthers are the variables that Kubernetes sets for services (kubelet's envvars.go), which
// have the service's name, and those of getcd's own tests.
var ofOthers = regexp.MustCompile(`^(GETCD|ETCDCTL)(_.*)?_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)$` +
	`|^GETCD_(ETCD|OVER|CHECK_WIRE|GRPC_PROXY|CLUSTER_DISK|CLUSTER_MEMBER|TEST_.*)$`)

// etcdctlOnly are the variables of flags that say nothing of the client.
var etcdctlOnly = []string{"API", "DEBUG", "HEX", "WRITE_OUT"}

// etcdctl2 has the variables of etcd 2's etcdctl, with their successors.
var etcdctl2 = map[string]string{"PEERS": "ENDPOINTS", "CA_FILE": "CACERT", "CERT_FILE": "CERT", "KEY_FILE": "KEY", "USERNAME": "USER"}

// readEtcdctl returns the values of etcdctl's variables, with the meaning that they have
// there (etcdctl/ctlv3/command/global.go).
func readEtcdctl(environ []string) (source, []error) {
	values := make(source)
	var errs []error
	vars := variables(environ, "ETCDCTL_")
	for _, name := range sorted(vars) {
		v := value{text: vars[name], at: variable("ETCDCTL_" + name)}
		o, known := byVariable(name)
		switch {
		case slices.Contains(etcdctlOnly, name) || ofOthers.MatchString(v.at.text):
		case name == "DISCOVERY_SRV_NAME":
		case name == "DISCOVERY_SRV": // it takes the place of --endpoints
			v.text = "dns+srv:///" + v.text
			if service := vars["DISCOVERY_SRV_NAME"]; service != "" {
				v.text += "?" + url.Values{"name": {service}}.Encode()
			}
			v.list = []string{v.text}
			values["endpoints"] = v
		case !known:
			if err := misspelled(v.at, name, vars); err != nil {
				errs = append(errs, err)
			}
		case name == "USER" && vars["PASSWORD"] == "":
			user, password, ok := strings.Cut(v.text, ":")
			v.text = user
			values["username"] = v
			if ok {
				values["password"] = value{text: password, at: v.at}
			}
		case name == "INSECURE_TRANSPORT" && booleans[strings.ToLower(v.text)]: // the default
		case name == "ENDPOINTS" && vars["DISCOVERY_SRV"] != "":
		case name == "KEEPALIVE_TIME":
			if d, err := time.ParseDuration(v.text); err == nil && d <= 0 {
				v.text = "-1s" // never
			}
			values[o.key] = v
		default:
			values[o.key] = v
		}
	}
	return values, errs
}

// byVariable finds the option of one of etcdctl's variables.
func byVariable(name string) (option, bool) {
	i := slices.IndexFunc(options, func(o option) bool { return o.etcdctl == name })
	if i < 0 {
		return option{}, false
	}
	return options[i], true
}

// misspelled returns an error for a variable that is nearly one of etcdctl's. Others may
// have variables with this prefix, too, and for both versions of etcdctl at once.
func misspelled(at place, name string, vars map[string]string) error {
	near, ok := etcdctl2[name]
	if !ok {
		names := append(slices.Clone(etcdctlOnly), "DISCOVERY_SRV", "DISCOVERY_SRV_NAME")
		for _, o := range options {
			if o.etcdctl != "" {
				names = append(names, o.etcdctl)
			}
		}
		near, ok = nearestOf(name, names)
	}
	if !ok || vars[near] != "" || slices.Contains(etcdctlOnly, near) {
		return nil
	}
	return at.errorf("etcdctl has no such variable; did you mean ETCDCTL_%s?", near)
}
