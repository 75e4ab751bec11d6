//go:build integration

package integration

// dozerCRD is a kind that is not Kubernetes' own and scales.
const dozerCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: dozers.test.tpa.dev}
spec:
  group: test.tpa.dev
  names: {kind: Dozer, plural: dozers}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
      subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
`

// household is what stands in a namespace, besides the proxy's objects.
const household = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db}]}}
---
apiVersion: test.tpa.dev/v1
kind: Dozer
metadata: {name: dozer}
spec: {replicas: 1}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: tpa-deployments-web}
---
apiVersion: v1
kind: Secret
metadata: {name: app}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: app}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tpa-proxy}
subjects: [{kind: ServiceAccount, namespace: HOME, name: app}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: app}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Event
metadata: {name: happened}
involvedObject: {kind: Service, namespace: HOME, name: web}
reason: Happened
type: Normal
`

// questions are what is only ever created.
const questions = `
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: happened}
eventTime: "2026-01-01T00:00:00.000000Z"
regarding: {kind: Service, namespace: HOME, name: web}
reason: Happened
action: Happen
type: Normal
reportingController: tpa.dev/test
reportingInstance: test
---
apiVersion: authorization.k8s.io/v1
kind: SubjectAccessReview
spec: {user: person, resourceAttributes: {verb: update, group: apps, resource: deployments, subresource: scale}}
---
apiVersion: authentication.k8s.io/v1
kind: TokenReview
spec: {token: none}
`
