package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// As returns the configuration of a user, with a certificate of their own. A ServiceAccount is a user, too.
func (s *Server) As(user string, groups ...string) (*rest.Config, error) {
	s.users.Lock()
	defer s.users.Unlock()
	added, err := s.env.AddUser(envtest.User{Name: user, Groups: groups}, s.Config)
	if err != nil {
		return nil, fmt.Errorf("add user %s: %w", user, err)
	}
	return added.Config(), nil
}

// Kubeconfig writes the kubeconfig of a user, or of the administrator for the empty name, and returns its path. It goes
// with the Server.
func (s *Server) Kubeconfig(user string, groups ...string) (string, error) {
	s.users.Lock()
	defer s.users.Unlock()
	if user == "" {
		user, groups = "administrator", []string{"system:masters"}
	}
	path := filepath.Join(s.dir, strings.ReplaceAll(user, ":", "-")+".kubeconfig")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	added, err := s.env.AddUser(envtest.User{Name: user, Groups: groups}, s.Config)
	if err != nil {
		return "", fmt.Errorf("add user %s: %w", user, err)
	}
	config, err := added.KubeConfig()
	if err != nil {
		return "", fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	return path, os.WriteFile(path, config, 0o600)
}

// Output is what a command wrote.
type Output struct{ Stdout, Stderr string }

// Kubectl runs kubectl as the administrator. The error of a failed one holds what it wrote.
func (s *Server) Kubectl(ctx context.Context, stdin string, args ...string) (Output, error) {
	kubeconfig, err := s.Kubeconfig("")
	if err != nil {
		return Output{}, err
	}
	return Run(ctx, stdin, kubeconfig, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
}

// Run runs a client of the API server with a kubeconfig.
func Run(ctx context.Context, stdin, kubeconfig, program string, args ...string) (Output, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	err := cmd.Run()
	out := Output{stdout.String(), stderr.String()}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(out.Stderr+out.Stdout))
	}
	return out, err
}

// applyRights brings TPA's ServiceAccounts, roles and bindings.
func (s *Server) applyRights(ctx context.Context) error {
	for _, file := range []string{"rbac-controller.yaml", "rbac-proxy.yaml"} {
		objects, err := Manifest(file)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := s.Admin.Create(ctx, object); err != nil {
				return fmt.Errorf("%s: create %s %s: %w", file, object.GetKind(), object.GetName(), err)
			}
		}
	}
	return nil
}

// Manifest returns the objects in a file of the kustomize base.
func Manifest(file string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(manifest(file))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := documents.Decode(object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		objects = append(objects, object)
	}
}
