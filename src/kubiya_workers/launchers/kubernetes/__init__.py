"""Workers in a cluster, by Kubernetes' own client: what `kubiya worker install` stands on.

- `values`: what can be said of an installation, by flags, by a file and in the Helm chart alike.
- `spec`: an installation, and what everything of it is called; `pods` is its pod, `manifests` all of its objects.
- `cluster`: the API, in our words and with our errors; the client is imported there alone, and only when it is used.
- `applying`: brought into a cluster, changed there, taken out of it; `looking`: how it is, and the wait for it.
- `rollout`: what the objects of a cluster mean, decisions only; `objects`: their parts.
- `remembered`: the file that names what was installed from here.
- `logs`: what all of its pods say.
- `single`: a Job that takes one execution, for a provisioner.

Flow: values → installation → manifests, which are applied server-side; from then on the cluster keeps the workers. A
pod is a machine of its own: the image's command, `kubiya worker start`, is the keeper of the worker in there. This side
names the installation in the queue's directory, and asks the cluster whatever it wants to know.
"""
