//go:build !race

package lease_test

// manyLeases is how many leases one client keeps in the test of scale.
const manyLeases = 10_000
