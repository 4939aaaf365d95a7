// Schema of an embedded PodSpec. Every field that Kubernetes 1.34 knows is named here, so that a misspelt one
// is found; what lies deeper than users usually write is passed through as it is.
#include "llmisvc/schema_builder.h"

namespace llmd::llmisvc::schema {
namespace {

json::Value quantities(std::string_view description) {
  return map_of(description, int_or_string({}));
}

json::Value resources() {
  return object("Compute resources.", {{"limits", quantities("Most the container may use.")},
                                       {"requests", quantities("What is reserved for it.")},
                                       {"claims", list_of("Names of pod resource claims.", any_object())}});
}

json::Value env() {
  return list_of(
      "Environment variables.",
      object("",
             {{"name", string("Name of the variable.")},
              {"value", string("Text; $(NAME) refers to variables before it.")},
              {"valueFrom", object("Where the value comes from.",
                                   any_fields("configMapKeyRef fieldRef fileKeyRef resourceFieldRef "
                                              "secretKeyRef"))}},
             {"name"}),
      "name");
}

json::Value ports() {
  return list_of("Ports the container listens on.",
                 object("",
                        {{"containerPort", integer("Port number.", 1, 65535)},
                         {"name", string("Name, unique in the pod.")},
                         {"protocol", with_default(choice("", {"TCP", "UDP", "SCTP"}), "TCP")},
                         {"hostPort", integer("", 1, 65535)},
                         {"hostIP", string("")}},
                        {"containerPort"}),
                 "containerPort protocol");
}

json::Value probe(std::string_view description) {
  return object(description, join({{"httpGet", object("HTTP request that must answer 200 to 399.",
                                                      {{"path", string("")},
                                                       {"port", int_or_string("")},
                                                       {"scheme", choice("", {"HTTP", "HTTPS"})},
                                                       {"host", string("")},
                                                       {"httpHeaders", list_of("", any_object())}})},
                                   {"failureThreshold", integer("", 1)},
                                   {"initialDelaySeconds", integer("", 0)},
                                   {"periodSeconds", integer("", 1)},
                                   {"successThreshold", integer("", 1)},
                                   {"timeoutSeconds", integer("", 1)},
                                   {"terminationGracePeriodSeconds", integer("", 0)}},
                                  any_fields("exec grpc tcpSocket")));
}

json::Value volume_mounts() {
  return list_of("Volumes mounted into the container.",
                 object("",
                        {{"name", string("Name of the volume.")},
                         {"mountPath", string("Where it is mounted.")},
                         {"readOnly", boolean("")},
                         {"subPath", string("")},
                         {"subPathExpr", string("")},
                         {"mountPropagation", string("")},
                         {"recursiveReadOnly", string("")}},
                        {"name", "mountPath"}),
                 "mountPath");
}

json::Value container() {
  return object(
      "A container.",
      join({{"name", string("Name; `main` is the model server.")},
            {"image", string("Image.")},
            {"imagePullPolicy", choice("", {"Always", "IfNotPresent", "Never"})},
            {"command", list_of("Program and first arguments; replaces the generated one.", string(""))},
            {"args", list_of("Arguments, appended to the generated ones.", string(""))},
            {"workingDir", string("")},
            {"env", env()},
            {"ports", ports()},
            {"resources", resources()},
            {"volumeMounts", volume_mounts()},
            {"livenessProbe", probe("Restart when it fails.")},
            {"readinessProbe", probe("Traffic while it succeeds.")},
            {"startupProbe", probe("The other probes wait for it.")},
            {"restartPolicy", string("")},
            {"terminationMessagePath", string("")},
            {"terminationMessagePolicy", choice("", {"File", "FallbackToLogsOnError"})},
            {"stdin", boolean("")},
            {"stdinOnce", boolean("")},
            {"tty", boolean("")}},
           any_fields("envFrom lifecycle resizePolicy restartPolicyRules securityContext volumeDevices "
                      "targetContainerName")),
      {"name"});
}

json::Value volumes() {
  return list_of(
      "Volumes of the pod.",
      object("",
             join({{"name", string("Name of the volume.")},
                   {"emptyDir", object("A folder that lives as long as the pod.",
                                       {{"medium", string("")}, {"sizeLimit", int_or_string("")}})},
                   {"persistentVolumeClaim",
                    object("", {{"claimName", string("")}, {"readOnly", boolean("")}}, {"claimName"})},
                   {"hostPath", object("", {{"path", string("")}, {"type", string("")}}, {"path"})}},
                  any_fields("awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi "
                             "downwardAPI ephemeral fc flexVolume flocker gcePersistentDisk gitRepo "
                             "glusterfs image iscsi nfs photonPersistentDisk portworxVolume projected "
                             "quobyte rbd scaleIO secret storageos vsphereVolume")),
             {"name"}),
      "name");
}

json::Value build_pod_spec() {
  return object(
      "",
      join({{"containers", list_of("Containers.", container(), "name")},
            {"initContainers", list_of("Containers that run before the others.", container(), "name")},
            {"ephemeralContainers", list_of("", container(), "name")},
            {"volumes", volumes()},
            {"nodeSelector", map_of("Labels of the nodes to run on.", string(""))},
            {"serviceAccountName", string("Service account.")},
            {"serviceAccount", string("")},
            {"automountServiceAccountToken", boolean("")},
            {"enableServiceLinks", boolean("")},
            {"hostNetwork", boolean("")},
            {"hostIPC", boolean("")},
            {"hostPID", boolean("")},
            {"hostUsers", boolean("")},
            {"shareProcessNamespace", boolean("")},
            {"terminationGracePeriodSeconds", integer("Seconds between SIGTERM and SIGKILL.", 0)},
            {"activeDeadlineSeconds", integer("", 1)},
            {"restartPolicy", choice("", {"Always", "OnFailure", "Never"})},
            {"priorityClassName", string("")},
            {"runtimeClassName", string("")},
            {"schedulerName", string("")},
            {"nodeName", string("")},
            {"hostname", string("")},
            {"subdomain", string("")},
            {"tolerations",
             list_of("", object("", any_fields("effect key operator tolerationSeconds value")))},
            {"imagePullSecrets",
             list_of("Secrets to pull images with.", object("", {{"name", string("")}}, {"name"}), "name")}},
           any_fields(
               "affinity dnsConfig dnsPolicy hostAliases hostnameOverride os overhead preemptionPolicy "
               "priority "
               "readinessGates resourceClaims resources schedulingGates securityContext setHostnameAsFQDN "
               "topologySpreadConstraints workloadRef")));
}

}  // namespace

json::Value pod_spec(std::string_view description) {
  // It is large, and part of five places of two schemas.
  static const json::Value built = build_pod_spec();
  json::Object result{{"description", json::String(description.data(), description.size())}};
  for (const auto& member : built.get_object()) {
    result[member.key()] = member.value();
  }
  return json::Value(std::move(result));
}

}  // namespace llmd::llmisvc::schema
