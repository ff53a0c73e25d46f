"""How many replicas of the model answer, as Serve's controller sees them."""

from medr_ray.serving.names import APPLICATION_NAME, MODEL_DEPLOYMENT


def count_running_replicas() -> int:
    """The model's replicas that take requests; none where the application is not there or ends."""
    from ray import serve
    from ray.serve.schema import ApplicationStatus, ReplicaState

    application = serve.status().applications.get(APPLICATION_NAME)
    if application is None or application.status == ApplicationStatus.DELETING:
        return 0
    model = application.deployments.get(MODEL_DEPLOYMENT)
    return 0 if model is None else model.replica_states.get(ReplicaState.RUNNING, 0)
