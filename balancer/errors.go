package balancer

import (
	"fmt"
)

// ClusterError is why an endpoint is not used: it leads to a member of another cluster than
// the client's.
type ClusterError struct {
	Want, Got uint64 // the clusters' IDs
}

// Error implements error.
func (e *ClusterError) Error() string {
	return fmt.Sprintf("it is a member of cluster %x, and this client is one of cluster %x", e.Got, e.Want)
}
