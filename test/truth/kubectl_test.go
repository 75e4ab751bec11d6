//go:build integration

package truth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/test/apiserver"
)

// kubectl is a client that hands manifests to kubectl, such as `kubectl apply -f -`.
func kubectl(args ...string) func(b batch, dryRun bool) (answer, error) {
	return func(b batch, dryRun bool) (answer, error) {
		stdin := ""
		for _, d := range b.docs {
			text, err := yaml.Marshal(d.manifest)
			if err != nil {
				return answer{}, err
			}
			stdin += "---\n" + string(text)
		}
		return runKubectl(b, stdin, dryRun, append(args, "-f", "-")...)
	}
}

// create is `kubectl create`.
func create(b batch) (answer, error) { return kubectl("create")(b, false) }

func runKubectl(b batch, stdin string, dryRun bool, args ...string) (answer, error) {
	args = append(args, "-o", "json", "--show-managed-fields")
	if dryRun {
		args = append(args, "--dry-run=server")
	}
	out, err := server.Kubectl(b.ctx, stdin, args...)
	if err != nil {
		return answer{}, err
	}
	shown, err := services(out.Stdout)
	return answer{shown, warnings(out.Stderr)}, err
}

// patch is a client that sends the patch of an edit, the same for all of a batch.
func patch(kind string) func(b batch, dryRun bool) (answer, error) {
	return func(b batch, dryRun bool) (answer, error) {
		return kubectl("patch", "--type", kind, "-p", b.docs[0].edit.patch)(b, dryRun)
	}
}

// replaceSeen is `kubectl get -o yaml`, an editor and `kubectl replace`, as controllers do it, too.
func replaceSeen(b batch, dryRun bool) (answer, error) {
	stdin := ""
	for _, d := range b.docs {
		out, err := server.Kubectl(b.ctx, "", "get", "service", name, "-n", d.namespace, "-o", "yaml")
		if err != nil {
			return answer{}, err
		}
		text, err := edited([]byte(out.Stdout), d.edit)
		if err != nil {
			return answer{}, err
		}
		stdin += "---\n" + string(text)
	}
	return runKubectl(b, stdin, dryRun, "replace", "-f", "-")
}

// editVariable tells the test binary that it is the editor, and which edit it makes.
const editVariable = "TRUTH_EDIT"

// openEditor is `kubectl edit`, which has no dry run.
func openEditor(b batch, _ bool) (answer, error) {
	kubeconfig, err := server.Kubeconfig("")
	if err != nil {
		return answer{}, err
	}
	editor, err := os.Executable()
	if err != nil {
		return answer{}, err
	}
	var all answer
	for _, d := range b.docs {
		out, err := apiserver.Run(b.ctx, "", kubeconfig, "env",
			"TMPDIR="+b.dir, "EDITOR="+editor, editVariable+"="+d.edit.name,
			filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "edit", "service", name, "-n", d.namespace)
		if err != nil {
			return all, err
		}
		all.warnings += warnings(out.Stderr)
	}
	return all, nil
}

// editFile is the editor.
func editFile(name, file string) error {
	for _, e := range edits {
		if e.name != name {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if text, err = edited(text, e); err != nil {
			return err
		}
		return os.WriteFile(file, text, 0o600)
	}
	return fmt.Errorf("no edit %q", name)
}

// edited is a YAML text with an edit.
func edited(text []byte, e edit) ([]byte, error) {
	m := &manifest{}
	if err := yaml.UnmarshalStrict(text, m); err != nil {
		return nil, err
	}
	e.do(m)
	return yaml.Marshal(m)
}

// services reads what kubectl prints: Services, one after the other or as a list.
func services(stdout string) (map[string]*corev1.Service, error) {
	byNamespace := map[string]*corev1.Service{}
	decoder := json.NewDecoder(strings.NewReader(stdout))
	for {
		var document json.RawMessage
		var compact bytes.Buffer // fieldsV1 are kept as they are written
		var object struct {
			corev1.Service
			Items []*corev1.Service `json:"items"`
		}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return byNamespace, nil
		}
		if err == nil {
			err = json.Compact(&compact, document)
		}
		if err == nil {
			err = json.Unmarshal(compact.Bytes(), &object)
		}
		if err != nil {
			return nil, fmt.Errorf("read what kubectl printed: %w: %s", err, stdout)
		}
		if object.Items == nil {
			object.Items = []*corev1.Service{&object.Service}
		}
		for _, svc := range object.Items {
			byNamespace[svc.Namespace] = svc
		}
	}
}

// warnings are the warnings of the API server, but for the one that the target does not exist.
func warnings(stderr string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "Warning: ") && !strings.Contains(line, "does not exist (yet)") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
