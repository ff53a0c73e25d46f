"""How many replicas of the model answer, as Serve's controller sees them."""

from medr_ray.serving.names import APPLICATION_NAME, MODEL_DEPLOYMENT


def count_running_replicas() -> int:
    """The model's replicas that answer, or take up other weights while new requests wait; none
    where the application is not there or ends."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ApplicationStatus, ReplicaState

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return 0
    # What ``serve.status()`` reads. That also checks and copies the settings of every deployment,
    # which takes thirty times as long, and this is asked every second.
    application = client.get_serve_details()["applications"].get(APPLICATION_NAME)
    if application is None or application["status"] == ApplicationStatus.DELETING:
        return 0
    model = application["deployments"].get(MODEL_DEPLOYMENT)
    if model is None:
        return 0
    states = (ReplicaState.RUNNING, ReplicaState.UPDATING)
    return sum(replica["state"] in states for replica in model["replicas"])
