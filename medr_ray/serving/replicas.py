"""How many replicas of the model answer, as Serve's controller sees them."""

from medr_ray.serving.names import APPLICATION_NAME, MODEL_DEPLOYMENT


def count_running_replicas() -> int:
    """The model's replicas that answer, or take up other weights while new requests wait; none
    where the application is not there or ends."""
    from ray import serve
    from ray.serve.schema import ApplicationStatus, ReplicaState

    application = serve.status().applications.get(APPLICATION_NAME)
    if application is None or application.status == ApplicationStatus.DELETING:
        return 0
    model = application.deployments.get(MODEL_DEPLOYMENT)
    if model is None:
        return 0
    states = (ReplicaState.RUNNING, ReplicaState.UPDATING)
    return sum(model.replica_states.get(state, 0) for state in states)
