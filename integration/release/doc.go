// Package release has the test of a release: it packs the modules as make release does,
// and installs and uses them as a stranger would, from that alone.
package release
