package apiserver

import (
	"context"
	"os"
	"path/filepath"
)

// CertManager brings cert-manager's kinds, as they are in its module, and waits until they are established. Nobody acts on
// them. A part of discovery may follow later.
func (s *Server) CertManager(ctx context.Context) error {
	crds := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "crds")
	if _, err := s.Kubectl(ctx, "", "create", "-f", crds); err != nil {
		return err
	}
	_, err := s.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=1m", "-f", crds)
	return err
}
